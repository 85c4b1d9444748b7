package enginetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"spore/engine"
)

// TestWorld runs the laws of worlds. Each law has start make an exchange in which nothing is
// exported and no key has a value; what start returns gives it as a host sees it. The laws ask for
// the hosts a, b and c, several times for some, which is the same host each time.
func TestWorld(t *testing.T, start func(t *testing.T) func(host string) engine.World) {
	for _, law := range worldLaws {
		t.Run(law.name, func(t *testing.T) {
			if err := law.holds(t.Context(), start(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

type exchange = func(host string) engine.World

// A worldLaw says why it does not hold for an exchange, so that the laws can be tested themselves.
type worldLaw struct {
	name  string
	holds func(ctx context.Context, world exchange) error
}

// A collecting is a Collect that runs, with what it last called changed with.
type collecting struct {
	*watching
	found   atomic.Pointer[[]engine.Export]
	overlap *overlap
}

// overlap tells whether two calls were made at the same time.
type overlap struct {
	inside atomic.Int32
	seen   atomic.Bool
}

func (o *overlap) enter() {
	if o.inside.Add(1) > 1 {
		o.seen.Store(true)
	}
}

func (o *overlap) leave() { o.inside.Add(-1) }

func (o *overlap) err() error {
	if o.seen.Load() {
		return errors.New("two callbacks ran at the same time")
	}
	return nil
}

func collect(ctx context.Context, w engine.World, kinds ...string) *collecting {
	c := &collecting{overlap: new(overlap)}
	c.watching = watch(ctx, func(ctx context.Context, changed func()) error {
		return w.Collect(ctx, kinds, func(found []engine.Export) {
			c.overlap.enter()
			defer c.overlap.leave()
			found = slices.Clone(found)
			c.found.Store(&found)
			changed()
		})
	})
	return c
}

// sees waits until what was collected is want.
func (c *collecting) sees(want ...engine.Export) error {
	for {
		if err := c.wait(fmt.Sprintf("collecting until %s is seen, not %s", list(want), c.last())); err != nil {
			return err
		}
		if found := c.found.Load(); equalExports(*found, want) {
			// Somebody may ask for the same again.
			select {
			case c.calls <- struct{}{}:
			default:
			}
			return nil
		}
	}
}

func (c *collecting) last() string {
	if found := c.found.Load(); found != nil {
		return list(*found)
	}
	return "nothing yet"
}

func (c *collecting) end() error { return errors.Join(c.watching.end(), c.overlap.err()) }

func list(exports []engine.Export) string {
	text := []string{}
	for _, e := range exports {
		text = append(text, fmt.Sprintf("%s/%s of %s: %s", e.Kind, e.Name, e.Host, e.Spec))
	}
	return fmt.Sprintf("%q", text)
}

// equalExports compares specs as JSON, since a world may write them in another form.
func equalExports(a, b []engine.Export) bool {
	return slices.EqualFunc(a, b, func(a, b engine.Export) bool {
		return a.Host == b.Host && a.Kind == b.Kind && a.Name == b.Name &&
			reflect.DeepEqual(a.Meta, b.Meta) && bytes.Equal(compact(a.Spec), compact(b.Spec))
	})
}

func compact(text json.RawMessage) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return text
	}
	return b.Bytes()
}

// from returns the exports as another host collects them.
func from(host string, exports ...engine.Export) []engine.Export {
	exports = slices.Clone(exports)
	for i := range exports {
		exports[i].Host = host
	}
	return exports
}

// export returns an export as a host makes it: without the host.
func export(kind, name, content string) engine.Export {
	spec, err := json.Marshal(map[string]string{"content": content})
	if err != nil {
		panic(err) // a map of strings always has a JSON form
	}
	return engine.Export{Kind: kind, Name: name, Spec: spec}
}

// holdsValue fails unless key has the value, or none if value is nil.
func holdsValue(ctx context.Context, w engine.World, key string, value *string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, ok, err := w.Get(ctx, key)
	switch {
	case err != nil:
		return fmt.Errorf("get %q: %w", key, err)
	case value == nil && (ok || got != ""):
		return fmt.Errorf("get %q: got %q, %v, want no value", key, got, ok)
	case value != nil && (!ok || got != *value):
		return fmt.Errorf("get %q: got %q, %v, want %q", key, got, ok, *value)
	}
	return nil
}

// within fails if call does not return in time.
func within(what string, call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return fmt.Errorf("%s does not return", what)
	}
}
