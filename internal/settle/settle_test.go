package settle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// script answers Is from a list of moments at which the state changes.
func script(start time.Time, flips ...time.Duration) func() bool {
	return func() bool {
		is := false
		for _, f := range flips {
			if time.Since(start) >= f {
				is = !is
			}
		}
		return is
	}
}

func TestWait(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	for _, c := range []struct {
		name        string
		flips       []time.Duration
		last, grace time.Duration
		want        time.Duration
	}{
		{"true from the start, at once", []time.Duration{0}, 0, 0, 0},
		{"at the moment it is true", []time.Duration{3 * s}, 0, 0, 3 * s},
		{"lasts", []time.Duration{s}, 5 * s, 0, 6 * s},
		{"begins again after a break", []time.Duration{s, 3 * s, 4 * s}, 5 * s, 0, 9 * s},
		{"a break within the grace does not count", []time.Duration{s, 3 * s, 3*s + 10*ms}, 5 * s, 20 * ms, 6 * s},
		{"a break longer than the grace does", []time.Duration{s, 3 * s, 3*s + 30*ms}, 5 * s, 20 * ms, 8*s + 30*ms},
		{"a break at the very end has to be over", []time.Duration{s, 6*s - 10*ms, 6*s + 5*ms}, 5 * s, 20 * ms, 6*s + 5*ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				changed := make(chan struct{}, 1)
				for _, f := range c.flips {
					time.AfterFunc(f, func() { changed <- struct{}{} })
				}
				if err := (Wait{For: c.last, Grace: c.grace, Changed: changed, Is: script(start, c.flips...)}).Until(ctx); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(start); got != c.want {
					t.Errorf("ended after %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestWaitTellsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		changed := make(chan struct{}, 1)
		flips := []time.Duration{1 * time.Second, 2 * time.Second, 3 * time.Second}
		for _, f := range flips {
			time.AfterFunc(f, func() { changed <- struct{}{} })
		}
		var told []bool
		err := Wait{
			For: time.Hour, Changed: changed, Is: script(time.Now(), flips...),
			Seen: func(is bool) { told = append(told, is) },
		}.Until(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a deadline", err)
		}
		if len(told) != 3 || !told[0] || told[1] || !told[2] {
			t.Errorf("told %v, want true, false, true", told)
		}
	})
}
