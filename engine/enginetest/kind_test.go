package enginetest

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"

	"spore/engine"
)

// fixture returns a fixture of a kind that keeps b.out, with the given spec.
func fixture[S engine.Spec](b *behaviour, spec S) Fixture {
	open := func(_ string, _ S, env engine.Env) (engine.Resource, error) {
		if b.open == nil {
			return b, os.Mkdir(env.Dir, 0o700)
		}
		return b, b.open()
	}
	return Fixture{
		Kind:    engine.NewKind("thing", "Keeps a value.", open),
		Name:    "on",
		Spec:    spec,
		Diverge: func() { b.out.set("gone astray") },
		State:   b.out.get,
	}
}

func TestLawsHold(t *testing.T) {
	TestKind(t, func(*testing.T) Fixture {
		return fixture(lawful(newOutside(), "on"), goodSpec{Map: map[string]string{"a": "b"}, Ptr: new(3), Every: 5e9})
	})
}

func TestLawsHoldWithoutAnOutside(t *testing.T) {
	TestKind(t, func(*testing.T) Fixture {
		f := fixture(lawful(newOutside(), "on"), goodSpec{})
		f.Diverge, f.State = nil, nil
		return f
	})
}

// Each law is to find what breaks it, so each has a breach here.
func TestLawsFindBreaches(t *testing.T) {
	broken := map[string]bool{}
	for _, breach := range breaches {
		broken[breach.law] = true
		t.Run(breach.law+": "+breach.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) { // its time flies, so no wait is waited for
				b := lawful(newOutside(), "on")
				defer close(b.release)
				breach.make(b)
				s := newSubject(fixture(b, goodSpec{}), dir)
				if err := lawNamed(t, breach.law).holds(t.Context(), s); err == nil {
					t.Error("not found")
				}
			})
		})
	}
	for _, breach := range specBreaches {
		broken[breach.law] = true
		t.Run(breach.law+": "+breach.name, func(t *testing.T) {
			s := newSubject(breach.fixture, t.TempDir())
			if err := lawNamed(t, breach.law).holds(t.Context(), s); err == nil {
				t.Error("not found")
			}
		})
	}
	for _, law := range kindLaws {
		if !broken[law.name] {
			t.Errorf("nothing breaks the law that %s", law.name)
		}
	}
}

func lawNamed(t *testing.T, name string) kindLaw {
	for _, law := range kindLaws {
		if law.name == name {
			return law
		}
	}
	t.Fatalf("no law says that %s", name)
	return kindLaw{}
}

var breaches = []struct {
	law, name string
	make      func(b *behaviour)
}{
	{"opening touches nothing", "it changes the state", func(b *behaviour) {
		b.open = func() error { b.out.set("opened"); return nil }
	}},
	{"opening touches nothing", "it makes the directory", func(b *behaviour) { b.open = nil }},
	{"opening touches nothing", "it fails", func(b *behaviour) {
		b.open = func() error { return errors.New("no") }
	}},
	{"apply then check is empty", "apply does nothing", func(b *behaviour) {
		b.apply = func(context.Context, []engine.Change) error { return nil }
	}},
	{"apply then check is empty", "check changes the state", func(b *behaviour) {
		check := b.check
		b.check = func(ctx context.Context) ([]engine.Change, error) {
			defer b.out.set("on")
			return check(ctx)
		}
	}},
	{"apply then check is empty", "check sees nothing", func(b *behaviour) {
		b.check = func(context.Context) ([]engine.Change, error) { return nil, nil }
	}},
	{"apply then check is empty", "a change without a field", func(b *behaviour) {
		b.check = func(context.Context) ([]engine.Change, error) { return make([]engine.Change, 1), nil }
	}},
	{"apply then check is empty", "check forgets", func(b *behaviour) {
		once := true
		b.check = func(context.Context) ([]engine.Change, error) {
			defer func() { once = false }()
			if once {
				return []engine.Change{{Field: "value"}}, nil
			}
			return nil, nil
		}
	}},
	{"a second apply is a no-op", "it toggles", func(b *behaviour) {
		b.apply = func(context.Context, []engine.Change) error {
			if b.out.get() == "on" {
				b.out.set("off")
			} else {
				b.out.set("on")
			}
			return nil
		}
	}},
	{"a refresh keeps the declared state", "it resets", func(b *behaviour) {
		b.refresh = func() { b.out.set("off") }
	}},
	{"a refresh keeps the declared state", "it is never dealt with", func(b *behaviour) {
		check, refreshed := b.check, false
		b.refresh = func() { refreshed = true }
		b.check = func(ctx context.Context) ([]engine.Change, error) {
			if refreshed {
				return []engine.Change{{Field: "value"}}, nil
			}
			return check(ctx)
		}
	}},
	{"a watch tells that it watches, and ends", "it does not tell", func(b *behaviour) {
		b.watch = func(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }
	}},
	{"a watch tells that it watches, and ends", "it ends with an error", func(b *behaviour) {
		b.watch = func(ctx context.Context, changed func()) error { changed(); <-ctx.Done(); return ctx.Err() }
	}},
	{"a watch tells that it watches, and ends", "it ends by itself", func(b *behaviour) {
		b.watch = func(context.Context, func()) error { return nil }
	}},
	{"a watch tells that it watches, and ends", "it does not end", func(b *behaviour) {
		b.watch = func(_ context.Context, changed func()) error { changed(); <-b.release; return nil }
	}},
	{"an outside change fires the watch", "it does not", func(b *behaviour) {
		b.watch = func(ctx context.Context, changed func()) error { changed(); <-ctx.Done(); return nil }
	}},
	{"drift is repaired again and again", "only once", func(b *behaviour) {
		watch, calls := b.watch, 0
		b.watch = func(ctx context.Context, changed func()) error {
			return watch(ctx, func() {
				if calls++; calls < 4 {
					changed()
				}
			})
		}
	}},
	{"a cancelled apply leaves the old or the new state", "it leaves half", func(b *behaviour) {
		b.apply = func(ctx context.Context, _ []engine.Change) error {
			for _, value := range []string{"o", "on"} {
				if err := ctx.Err(); err != nil {
					return err
				}
				b.out.set(value)
			}
			return nil
		}
	}},
	{"a cancelled apply leaves the old or the new state", "it leaves half when cancelled late", func(b *behaviour) {
		b.apply = func(ctx context.Context, _ []engine.Change) error {
			b.out.set("o")
			if _, timed := ctx.Deadline(); timed {
				<-ctx.Done()
				return ctx.Err()
			}
			b.out.set("on")
			return nil
		}
	}},
	{"a cancelled apply leaves the old or the new state", "it claims to be done", func(b *behaviour) {
		b.apply = func(ctx context.Context, _ []engine.Change) error {
			if ctx.Err() == nil {
				b.out.set("on")
			}
			return nil
		}
	}},
}

// A plain spec has one field and is validated by the function that its name stands for.
type (
	mumbling struct {
		Value string `json:"value" doc:"no sentence"`
	}
	forgetful struct {
		Value string `json:"-"`
	}
	refusing struct {
		Value string `json:"value" doc:"A value."`
	}
	panicking struct {
		Value map[string]string `json:"value" doc:"A value."`
	}
	vague struct {
		Value string `json:"value" doc:"A value."`
	}
	mistaken struct {
		Value string `json:"value" doc:"A value."`
	}
	lax struct {
		Value string `json:"value" doc:"A value." enum:"a,b"`
	}
)

func (mumbling) Validate() error  { return nil }
func (forgetful) Validate() error { return nil }
func (refusing) Validate() error  { return engine.Invalid("value", "no") }
func (lax) Validate() error       { return nil }

func (s panicking) Validate() error {
	if s.Value != nil {
		s.Value["new"] = s.Value["old"][:1]
	}
	return nil
}

func (s vague) Validate() error {
	if s.Value == "" {
		return errors.New("wrong")
	}
	return nil
}

func (s mistaken) Validate() error {
	if s.Value == "" {
		return errors.Join(engine.Invalid("value", "wrong"), engine.Invalid("colour", "wrong"))
	}
	return nil
}

var specBreaches = []struct {
	law, name string
	fixture   Fixture
}{
	{"the kind is described", "a doc is no sentence", fixture(lawful(newOutside(), "on"), mumbling{"x"})},
	{"a spec survives JSON", "a field does not travel", fixture(lawful(newOutside(), "on"), forgetful{"x"})},
	{"validate reports, whatever the spec", "it refuses all", fixture(lawful(newOutside(), "on"), refusing{"x"})},
	{"validate reports, whatever the spec", "it panics", fixture(lawful(newOutside(), "on"), panicking{})},
	{"validate reports, whatever the spec", "it names no field", fixture(lawful(newOutside(), "on"), vague{"x"})},
	{"validate reports, whatever the spec", "it names a wrong field", fixture(lawful(newOutside(), "on"), mistaken{"x"})},
	{"validate reports, whatever the spec", "it takes any value", fixture(lawful(newOutside(), "on"), lax{"a"})},
}
