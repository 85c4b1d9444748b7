package timer_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"spore/engine"
	"spore/engine/enginetest"
	"spore/resources/timer"
)

func TestLaws(t *testing.T) {
	enginetest.TestKind(t, func(*testing.T) enginetest.Fixture {
		return enginetest.Fixture{Kind: timer.Kind(), Name: "hourly", Spec: timer.Spec{Interval: engine.Duration(time.Hour)}}
	})
}

func TestPulses(t *testing.T) {
	if !timer.Kind().Pulse {
		t.Error("a timer does not notify its dependents")
	}
}

func TestInterval(t *testing.T) {
	for _, interval := range []engine.Duration{0, -1} {
		if (timer.Spec{Interval: interval}).Validate() == nil {
			t.Errorf("%v is taken for an interval", interval)
		}
	}
}

// run opens a timer of ten seconds in a bubble whose clock the test turns.
func run(t *testing.T, test func(ctx context.Context, r engine.Resource, due func() bool)) {
	synctest.Test(t, func(t *testing.T) {
		r, err := timer.Kind().Open("t", timer.Spec{Interval: engine.Duration(10 * time.Second)}, engine.Env{})
		if err != nil {
			t.Fatal(err)
		}
		test(t.Context(), r, func() bool {
			changes, err := r.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(changes) > 0
		})
	})
}

func TestTicks(t *testing.T) {
	run(t, func(ctx context.Context, r engine.Resource, due func() bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		start, fired := time.Now(), make(chan time.Duration)
		go r.Watch(ctx, func() { fired <- time.Since(start) })
		if at := <-fired; at != 0 || due() {
			t.Errorf("at first: fired at %v, due %v", at, due())
		}
		for want := 10 * time.Second; want <= time.Minute; want += 10 * time.Second {
			if at := <-fired; at != want || !due() {
				t.Errorf("fired at %v, due %v, want %v, true", at, due(), want)
			}
			if err := r.Apply(ctx, nil); err != nil {
				t.Fatal(err)
			}
			if due() {
				t.Error("a tick is due twice")
			}
		}
	})
}

func TestTicksThatWereMissedCountAsOne(t *testing.T) {
	run(t, func(ctx context.Context, r engine.Resource, due func() bool) {
		<-time.After(35 * time.Second)
		if !due() {
			t.Error("no tick is due")
		}
		if err := r.Apply(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if due() {
			t.Error("a second tick is due at once")
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		fired := make(chan time.Time)
		go r.Watch(ctx, func() { fired <- time.Now() })
		began := <-fired
		if wait := (<-fired).Sub(began); wait != 5*time.Second {
			t.Errorf("a watch that begins at 35s fires after %v, want 5s", wait)
		}
	})
}

func TestCancelledApplyLosesNoTick(t *testing.T) {
	run(t, func(ctx context.Context, r engine.Resource, due func() bool) {
		<-time.After(10 * time.Second)
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if r.Apply(ctx, nil) == nil || !due() {
			t.Error("the tick is lost")
		}
	})
}
