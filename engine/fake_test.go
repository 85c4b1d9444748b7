package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"spore/graph"
)

// fakeSpec declares the value of a thing.
type fakeSpec struct {
	Value string `json:"value" doc:"The value."`
	Dir   string `json:"dir,omitempty" doc:"Where it landed when collected."`
}

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

// A host runs programs over things.
type host struct {
	*Runner
	t      *testing.T
	world  *fakeWorld
	log    *lines
	cancel context.CancelFunc
	ended  chan struct{}

	revision int64

	mu     sync.Mutex
	things map[string]*thing
	notes  []string // every call to a thing, in order
	events []Event
}

// inBubble runs f with a host. Time is virtual: it passes when nothing else can happen. When f has
// returned, the host is stopped, and nothing of it may be left.
func inBubble(t *testing.T, f func(t *testing.T, h *host), adapt ...func(*Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt...)
		defer h.stop()
		f(t, h)
	})
}

func newHost(t *testing.T, adapt ...func(*Config)) *host {
	h := &host{t: t, things: map[string]*thing{}, log: &lines{}, ended: make(chan struct{})}
	h.world = &fakeWorld{World: NewMemory().World("here")}
	cfg := Config{
		Kinds: NewKinds(
			NewKind("fake", "", func(name string, s fakeSpec, _ Env) (Resource, error) {
				return refreshable{h.open(name, s)}, h.opened(name)
			}),
			NewKind("plain", "", func(name string, s fakeSpec, _ Env) (Resource, error) { return h.open(name, s), h.opened(name) }),
		),
		Host: "here", World: h.world, Dir: "/nonexistent", Log: slog.New(slog.NewTextHandler(h.log, nil)),
		Observe: func(e Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, e)
		},
	}
	for _, f := range adapt {
		f(&cfg)
	}
	h.Runner = NewRunner(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	h.cancel = cancel
	go func() {
		defer close(h.ended)
		h.Run(ctx)
	}()
	return h
}

func (h *host) open(name string, s fakeSpec) *fake { return &fake{thing: h.thing(name), spec: s} }
func (h *host) opened(name string) error           { return h.thing(name).call(context.Background(), "open") }

func (h *host) stop() {
	h.cancel()
	<-h.ended
}

// thing returns the thing of that name. At first its value is empty.
func (h *host) thing(name string) *thing {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.things[name] == nil {
		h.things[name] = &thing{
			host: h, name: name, calls: map[string]int{}, hooks: map[string]func(context.Context) error{},
			changed: map[*fake]func(){},
		}
	}
	return h.things[name]
}

func (h *host) note(ctx context.Context, what string) {
	n := h.busy.n.Load()
	if n < 0 {
		h.t.Errorf("%s: busy is %d", what, n)
	}
	if run := strings.HasPrefix(what, "check") || strings.HasPrefix(what, "apply"); run && n < 1 && ctx.Err() == nil {
		h.t.Errorf("%s: not counted as busy", what)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, what)
}

func (h *host) swap(nodes ...decl) { h.swapProgram(program(nodes...)) }

func (h *host) swapProgram(p *Program) {
	h.t.Helper()
	h.revision++
	if err := h.Swap(p, h.revision); err != nil {
		h.t.Fatal(err)
	}
	if s := h.Status(); s.Settled && s.Revision != h.revision {
		h.t.Error("settled between a swap and its being dealt with")
	}
}

// settle waits until the host is settled for good, however much time must pass.
func (h *host) settle() {
	h.t.Helper()
	h.settleOnce()
	if synctest.Wait(); !h.Status().Settled {
		h.t.Fatal("settled, but not for good")
	}
}

// settleOnce waits until the host is settled.
func (h *host) settleOnce() {
	h.t.Helper()
	for limit := time.After(24 * time.Hour); !h.Status().Settled; {
		select {
		case <-h.Moved():
		case <-limit:
			h.t.Fatalf("never settled: busy is %d, counts %+v, notes %v", h.busy.n.Load(), h.Status().Counts, h.recent())
		}
	}
}

// unsettled waits until nothing happens without time passing, and checks that this does not settle it.
func (h *host) unsettled() {
	h.t.Helper()
	synctest.Wait()
	if h.Status().Settled {
		h.t.Error("settled too early")
	}
}

// pass lets virtual time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (h *host) recent() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.notes[max(0, len(h.notes)-20):])
}

// calls returns the calls of one sort that were made so far, in order.
func (h *host) calls(sort string) (names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.notes {
		if rest, ok := strings.CutPrefix(n, sort+" "); ok {
			names = append(names, rest)
		}
	}
	return names
}

// forget empties the notes and events, so that what follows can be told apart.
func (h *host) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes, h.events = nil, nil
}

// told returns the events in words, without their times.
func (h *host) told() (words []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		w := e.Resource.String() + " " + string(e.State)
		for _, c := range e.Changes {
			w += " [" + c.String() + "]"
		}
		if e.Refresh {
			w += " refreshed"
		}
		if e.Err != "" {
			w += ": " + e.Err
		}
		words = append(words, w)
	}
	return words
}

func (h *host) wantTold(want ...string) {
	h.t.Helper()
	if got := h.told(); !slices.Equal(got, want) {
		h.t.Errorf("events:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (h *host) wantNotes(want ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.notes, want) {
		h.t.Errorf("calls: %v\nwant:  %v", h.notes, want)
	}
}

func (h *host) wantCounts(want Counts) {
	h.t.Helper()
	if got := h.Status().Counts; got != want {
		h.t.Errorf("counts: %+v, want %+v", got, want)
	}
}

func wantCalls(t *testing.T, x *thing, want map[string]int) {
	t.Helper()
	for _, call := range slices.Sorted(maps.Keys(want)) {
		if got := x.count(call); got != want[call] {
			t.Errorf("%s was called %d times on %s, want %d", call, got, x.name, want[call])
		}
	}
}

// A decl is a node with the edges that reach it.
type decl struct {
	Node
	in map[string]Edge
}

// declare returns the node fake/name, or kind/name, whose value is to be "1".
func declare(name string, adapt ...func(*decl)) decl {
	d := decl{Node: Node{ID: idOf(name), Spec: fakeSpec{Value: "1"}}, in: map[string]Edge{}}
	for _, f := range adapt {
		f(&d)
	}
	return d
}

func idOf(name string) ID {
	if kind, rest, ok := strings.Cut(name, "/"); ok {
		return ID{Kind: kind, Name: rest}
	}
	return ID{Kind: "fake", Name: name}
}

func after(names ...string) func(*decl) {
	return func(d *decl) {
		for _, n := range names {
			d.in[n] = Edge{}
		}
	}
}

func notifiedBy(name string) func(*decl) {
	return func(d *decl) { d.in[name] = Edge{Notify: true} }
}

func value(v string) func(*decl) { return func(d *decl) { d.Spec = fakeSpec{Value: v} } }
func meta(m Meta) func(*decl)    { return func(d *decl) { d.Meta = m } }

func program(nodes ...decl) *Program {
	g := graph.New[ID, Node, Edge]()
	for _, d := range nodes {
		g.Add(d.ID, d.Node)
	}
	for _, d := range nodes {
		for _, from := range slices.Sorted(maps.Keys(d.in)) {
			if !g.Connect(idOf(from), d.ID, d.in[from]) {
				panic(fmt.Sprintf("no edge %s → %s", from, d.ID))
			}
		}
	}
	return &Program{Name: "test", Graph: g}
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

// lines is a log that can be searched.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

// fakeWorld is a world that can be made to fail.
type fakeWorld struct {
	World
	mu       sync.Mutex
	exports  [][]Export // as they were written
	collects [][]string
	onExport func(context.Context) error
	// onCollect is called before the world collects.
	onCollect func(context.Context) error
}

func (w *fakeWorld) Export(ctx context.Context, exports []Export) error {
	w.mu.Lock()
	w.exports = append(w.exports, exports)
	hook := w.onExport
	w.mu.Unlock()
	if hook != nil {
		if err := hook(ctx); err != nil {
			return err
		}
	}
	return w.World.Export(ctx, exports)
}

func (w *fakeWorld) Collect(ctx context.Context, kinds []string, changed func([]Export)) error {
	w.mu.Lock()
	w.collects = append(w.collects, kinds)
	hook := w.onCollect
	w.mu.Unlock()
	if hook != nil {
		if err := hook(ctx); err != nil {
			return err
		}
	}
	return w.World.Collect(ctx, kinds, changed)
}

func (w *fakeWorld) set(onExport, onCollect func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onExport, w.onCollect = onExport, onCollect
}
