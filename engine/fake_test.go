package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
)

// fakeSpec declares the value of a thing.
type fakeSpec struct {
	Value string `json:"value" doc:"The value."`
	Dir   string `json:"dir,omitempty" doc:"Where it landed when collected."`
	At    string `json:"at,omitempty" doc:"Where it lies."`
}

func (s fakeSpec) Location() (path string, makes bool) { return s.At, false }

func (s fakeSpec) Validate() error {
	switch s.Value {
	case "invalid":
		return Invalid("value", "is invalid")
	case "explosive":
		panic("validate blew up")
	}
	return nil
}

func (s fakeSpec) ValidatePattern(string) error { return nil }

func (s fakeSpec) Collected(pattern string) (Spec, error) {
	s.Dir = pattern
	return s, nil
}

// A thing is what a fake resource keeps. It outlives the resource, and counts what is done to it.
type thing struct {
	host *host
	name string

	mu      sync.Mutex
	value   string
	calls   map[string]int
	hooks   map[string]func(context.Context) error
	changed map[*fake]func() // of those that watch it
	echo    bool             // an apply makes an event, as real things do
}

// on has hook called at the beginning of open, watch, check, apply, refresh or close, or, as
// "watching", for as long as a watch goes on.
func (x *thing) on(call string, hook func(context.Context) error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.hooks[call] = hook
}

func (x *thing) call(ctx context.Context, call string) error {
	x.mu.Lock()
	x.calls[call]++
	hook := x.hooks[call]
	x.mu.Unlock()
	x.host.note(ctx, call+" "+x.name)
	if hook == nil {
		return nil
	}
	return hook(ctx)
}

func (x *thing) count(call string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.calls[call]
}

func (x *thing) get() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.value
}

func (x *thing) set(value string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.value = value
}

// fire tells all that watch the thing.
func (x *thing) fire() {
	x.mu.Lock()
	watches := slices.Collect(maps.Values(x.changed))
	x.mu.Unlock()
	for _, changed := range watches {
		changed()
	}
}

// drift changes the thing from outside.
func (x *thing) drift(value string) {
	x.set(value)
	x.fire()
}

// fake keeps a thing; refreshable is one that also reacts to notify edges.
type (
	fake struct {
		*thing
		spec fakeSpec
		owed bool
	}
	refreshable struct{ *fake }
)

func (f *fake) Watch(ctx context.Context, changed func()) error {
	if err := f.call(ctx, "watch"); err != nil {
		return err
	}
	f.mu.Lock()
	f.changed[f] = changed
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.changed, f)
	}()
	changed()
	f.mu.Lock()
	watching := f.hooks["watching"]
	f.mu.Unlock()
	if watching != nil {
		return watching(ctx)
	}
	<-ctx.Done()
	return nil
}

func (f *fake) Check(ctx context.Context) ([]Change, error) {
	if err := f.call(ctx, "check"); err != nil {
		return nil, err
	}
	var changes []Change
	if value := f.get(); value != f.spec.Value {
		changes = append(changes, Change{Field: "value", From: value, To: f.spec.Value})
	}
	if f.owed {
		changes = append(changes, Change{Field: "refresh"})
	}
	return changes, nil
}

func (f *fake) Apply(ctx context.Context, changes []Change) error {
	if err := f.call(ctx, "apply"); err != nil {
		return err
	}
	f.set(f.spec.Value)
	f.owed = false
	f.mu.Lock()
	echo := f.echo
	f.mu.Unlock()
	if echo {
		f.fire()
	}
	return nil
}

func (f *fake) Close() error { return f.call(context.Background(), "close") }

func (f refreshable) Refresh() {
	if err := f.call(context.Background(), "refresh"); err != nil {
		panic(err)
	}
	f.owed = true
}

// A gate keeps calls waiting until it is opened; unless it is deaf they also end when cancelled.
type gate struct {
	arrived chan struct{}
	opened  chan struct{}
	deaf    bool
}

func newGate() *gate { return &gate{arrived: make(chan struct{}, 10000), opened: make(chan struct{})} }

func (g *gate) hook(ctx context.Context) error {
	g.arrived <- struct{}{}
	done := ctx.Done()
	if g.deaf {
		done = nil
	}
	select {
	case <-g.opened:
		return nil
	case <-done:
		return context.Cause(ctx)
	}
}

func (g *gate) open() { close(g.opened) }

// shut puts a gate in front of a call.
func (x *thing) shut(call string) *gate {
	g := newGate()
	x.on(call, g.hook)
	return g
}

var errBroken = errors.New("broken")

func broken(context.Context) error { return errBroken }
