// Package timer is the kind that tells those who depend on it that time has passed.
package timer

import (
	"context"
	"time"

	"spore/engine"
)

// Spec declares how often the timer ticks.
type Spec struct {
	Interval engine.Duration `json:"interval,omitempty" unit:"s" doc:"The time between two ticks; a bare number is in seconds."`
}

// Validate reports an interval that is no time at all.
func (s Spec) Validate() error {
	if s.Interval <= 0 {
		return engine.Invalid("interval", "want a time greater than zero, such as 30 or 1m30s")
	}
	return nil
}

// Kind returns the kind.
func Kind() engine.Kind {
	k := engine.NewKind("timer", "Notifies everything that depends on it, once an interval.",
		func(_ string, spec Spec, _ engine.Env) (engine.Resource, error) {
			return &resource{interval: time.Duration(spec.Interval), start: time.Now()}, nil
		})
	k.Pulse = true
	return k
}

// A resource derives its ticks from the clock, so that neither a watch that begins anew nor polling
// loses one or makes one up. Ticks that nobody had the time for count as one.
type resource struct {
	interval time.Duration
	start    time.Time
	told     int64 // ticks that dependents know of
}

// ticks returns how many intervals have passed.
func (r *resource) ticks() int64 { return int64(time.Since(r.start) / r.interval) }

func (r *resource) Watch(ctx context.Context, changed func()) error {
	changed()
	for {
		next := r.start.Add(time.Duration(r.ticks()+1) * r.interval)
		t := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
			changed()
		}
	}
}

func (r *resource) Check(context.Context) ([]engine.Change, error) {
	if r.ticks() == r.told {
		return nil, nil
	}
	return []engine.Change{{Field: "tick"}}, nil
}

func (r *resource) Apply(ctx context.Context, _ []engine.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.told = r.ticks()
	return nil
}
