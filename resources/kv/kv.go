// Package kv is the kind that keeps the value of a key in the store that all hosts share.
package kv

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"spore/engine"
)

const maxValue = 1 << 20 // bytes; the store takes little more in one request

// Spec declares what a key holds.
type Spec struct {
	Key          string  `json:"key,omitempty" doc:"The key; if absent, the resource's name."`
	Value        *string `json:"value,omitempty" doc:"What the key is to hold, at most 1 MiB; a key without a value is taken away."`
	State        string  `json:"state,omitempty" enum:"exists,absent" doc:"Whether the key is to exist; if absent, it is when there is a value."`
	SkipLessThan bool    `json:"skiplessthan,omitempty" doc:"Leave a stored value alone that is greater than this one, unless notified."`
	SkipCmpStyle string  `json:"skipcmpstyle,omitempty" enum:"int,string,0,1" default:"int" doc:"How skiplessthan compares: as numbers (0 for short) or as text (1 for short)."`
}

// Validate reports a value that does not go with the rest.
func (s Spec) Validate() error {
	var errs []error
	if s.Key == "" {
		errs = append(errs, engine.Invalid("key", "want the key, or a name that stands for it"))
	}
	switch s.State {
	case "":
	case "exists":
		if s.Value == nil {
			errs = append(errs, engine.Invalid("value", "want a value, since state is exists"))
		}
	case "absent":
		if s.Value != nil {
			errs = append(errs, engine.Invalid("value", "want no value, since state is absent"))
		}
	default:
		errs = append(errs, engine.Invalid("state", "want exists or absent, not %q", s.State))
	}
	if s.Value != nil && len(*s.Value) > maxValue {
		errs = append(errs, engine.Invalid("value", "want at most %d bytes, not %d", maxValue, len(*s.Value)))
	}
	return errors.Join(append(errs, s.validateSkip())...)
}

func (s Spec) validateSkip() error {
	switch s.SkipCmpStyle {
	case "", "0", "1", "int", "string":
	default:
		return engine.Invalid("skipcmpstyle", "want int or string, not %q", s.SkipCmpStyle)
	}
	if s.SkipLessThan && s.Value != nil && !s.asText() {
		if _, err := strconv.ParseInt(*s.Value, 10, 64); err != nil {
			return engine.Invalid("value", "want a whole number, since skiplessthan compares numbers")
		}
	}
	return nil
}

// WithName lets the name stand for the key.
func (s Spec) WithName(name string) engine.Spec {
	if s.Key == "" {
		s.Key = name
	}
	return s
}

// Keys names the key, for the host to be granted it.
func (s Spec) Keys() []string { return []string{s.Key} }

func (s Spec) asText() bool { return s.SkipCmpStyle == "string" || s.SkipCmpStyle == "1" }

// lessThan reports whether the value is less than stored. What is no number gives way to one.
func (s Spec) lessThan(stored string) bool {
	if s.asText() {
		return *s.Value < stored
	}
	own, err := strconv.ParseInt(*s.Value, 10, 64)
	if err != nil {
		return false
	}
	other, err := strconv.ParseInt(stored, 10, 64)
	return err == nil && own < other
}

// Kind returns the kind.
func Kind() engine.Kind {
	return engine.NewKind("kv", "Keeps the value of a key in the store that all hosts share.",
		func(_ string, spec Spec, env engine.Env) (engine.Resource, error) {
			return &resource{spec: spec, world: env.World}, nil
		})
}

type resource struct {
	spec  Spec
	world engine.World
	exact bool // notified: skiplessthan does not hold until the value is there
}

func (r *resource) Watch(ctx context.Context, changed func()) error {
	return r.world.Watch(ctx, r.spec.Key, changed)
}

func (r *resource) Check(ctx context.Context) ([]engine.Change, error) {
	stored, ok, err := r.world.Get(ctx, r.spec.Key)
	if err != nil {
		return nil, fmt.Errorf("get key %s: %w", r.spec.Key, err)
	}
	if r.spec.Value == nil {
		if !ok {
			return nil, nil
		}
		return []engine.Change{{Field: "state", From: "exists", To: "absent"}}, nil
	}
	if !ok {
		return []engine.Change{{Field: "value", To: short(*r.spec.Value)}}, nil
	}
	if stored == *r.spec.Value || r.spec.SkipLessThan && !r.exact && r.spec.lessThan(stored) {
		return nil, nil
	}
	return []engine.Change{{Field: "value", From: short(stored), To: short(*r.spec.Value)}}, nil
}

func (r *resource) Apply(ctx context.Context, changes []engine.Change) error {
	if len(changes) == 0 {
		return nil
	}
	if err := r.world.Put(ctx, r.spec.Key, r.spec.Value); err != nil {
		return fmt.Errorf("put key %s: %w", r.spec.Key, err)
	}
	r.exact = false
	return nil
}

// Refresh has the very value stored, be it less than what is there.
func (r *resource) Refresh() { r.exact = true }

// short returns the value in quotes, cut to what fits on a line.
func short(value string) string {
	const most = 60
	if runes := []rune(value[:min(len(value), 4*most)]); len(runes) > most {
		return strconv.Quote(string(runes[:most])) + "…"
	}
	return strconv.Quote(value)
}
