package kv_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"spore/engine"
	"spore/engine/enginetest"
	"spore/resources/kv"
)

// fixture keeps the key k, of which Diverge makes other.
func fixture(t *testing.T, spec kv.Spec, other *string) enginetest.Fixture {
	memory := engine.NewMemory()
	world := memory.World("another")
	return enginetest.Fixture{
		Kind:    kv.Kind(),
		Name:    "k",
		Spec:    spec,
		World:   memory.World("host"),
		Diverge: func() { put(t, world, other) },
		State: func() any {
			value, ok, err := world.Get(context.Background(), "k")
			if err != nil {
				t.Error(err)
			}
			return [2]any{value, ok}
		},
	}
}

func put(t *testing.T, w engine.World, value *string) {
	t.Helper()
	if err := w.Put(context.Background(), "k", value); err != nil {
		t.Fatal(err)
	}
}

func TestLaws(t *testing.T) {
	for name, c := range map[string]struct {
		spec  kv.Spec
		other *string
	}{
		"another value": {kv.Spec{Value: new("v")}, new("w")},
		"no value":      {kv.Spec{Value: new("v"), State: "exists"}, nil},
		"empty value":   {kv.Spec{Key: "k", Value: new("")}, nil},
		"absent":        {kv.Spec{State: "absent"}, new("")},
		"no state":      {kv.Spec{}, new("w")},
		"less":          {kv.Spec{Value: new("10"), SkipLessThan: true}, new("9")},
	} {
		t.Run(name, func(t *testing.T) {
			enginetest.TestKind(t, func(t *testing.T) enginetest.Fixture { return fixture(t, c.spec, c.other) })
		})
	}
}

// converge does what a worker does and returns the value of k.
func converge(t *testing.T, r engine.Resource, w engine.World) string {
	t.Helper()
	changes, err := r.Check(t.Context())
	if err == nil && len(changes) > 0 {
		err = r.Apply(t.Context(), changes)
	}
	if err != nil {
		t.Fatal(err)
	}
	value, _, err := w.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestSkipLessThan(t *testing.T) {
	for _, c := range []struct{ style, stored, value, want string }{
		{"", "10", "9", "10"},
		{"int", "9", "10", "10"},
		{"0", "10", "9", "10"},
		{"0", "no number", "9", "9"},
		{"string", "10", "9", "9"},
		{"1", "b", "a", "b"},
		{"1", "a", "b", "b"},
	} {
		w := engine.NewMemory().World("host")
		put(t, w, &c.stored)
		r, err := kv.Kind().Open("k", kv.Spec{Key: "k", Value: &c.value, SkipLessThan: true, SkipCmpStyle: c.style}, engine.Env{World: w})
		if err != nil {
			t.Fatal(err)
		}
		if got := converge(t, r, w); got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
		r.(engine.Refresher).Refresh()
		if got := converge(t, r, w); got != c.value {
			t.Errorf("%+v, notified: got %q", c, got)
		}
		put(t, w, &c.stored)
		if got := converge(t, r, w); got != c.want {
			t.Errorf("%+v, later: got %q", c, got)
		}
	}
}

func TestChangesAreShort(t *testing.T) {
	w := engine.NewMemory().World("host")
	put(t, w, new(strings.Repeat("ü", 1000)))
	r, err := kv.Kind().Open("k", kv.Spec{Key: "k", Value: new("a\nb")}, engine.Env{World: w})
	if err != nil {
		t.Fatal(err)
	}
	changes, err := r.Check(t.Context())
	want := `value: "` + strings.Repeat("ü", 60) + `"… → "a\nb"`
	if err != nil || len(changes) != 1 || changes[0].String() != want {
		t.Errorf("got %v, %v, want %s", changes, err, want)
	}
}

func TestKeys(t *testing.T) {
	named := kv.Spec{}.WithName("k").(kv.Spec)
	if got := named.Keys(); !slices.Equal(got, []string{"k"}) {
		t.Errorf("got %q, want k alone", got)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		field string // the one that is wrong
		spec  kv.Spec
	}{
		{"key", kv.Spec{Value: new("v")}},
		{"value", kv.Spec{Key: "k", State: "exists"}},
		{"value", kv.Spec{Key: "k", State: "absent", Value: new("")}},
		{"value", kv.Spec{Key: "k", Value: new("x"), SkipLessThan: true}},
		{"value", kv.Spec{Key: "k", Value: new(strings.Repeat("x", 1<<20+1))}},
		{"state", kv.Spec{Key: "k", State: "present", Value: new("")}},
		{"skipcmpstyle", kv.Spec{Key: "k", Value: new(""), SkipCmpStyle: "2"}},
	} {
		field, ok := errors.AsType[*engine.FieldError](c.spec.Validate())
		if !ok || field.Field != c.field {
			t.Errorf("%+v: got %v, want a mistake in %s", c.spec, field, c.field)
		}
	}
	if err := (kv.Spec{Key: "k", Value: new("x"), SkipLessThan: true, SkipCmpStyle: "1"}).Validate(); err != nil {
		t.Error(err)
	}
}
