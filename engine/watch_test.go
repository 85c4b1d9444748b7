package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAWatchThatFailsAtFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.thing("a").on("watch", failFor(3))
		h.thing("b").set("1")
		h.swap(declare("a"), declare("b", after("a")))
		h.settle()
		h.wantTold("fake/a failed: watch: broken", "fake/b skipped: needs fake/a, which failed")
		pass(minRewatch * 8)
		h.settle()
		h.wantCounts(Counts{Total: 2, OK: 2, Changed: 1})
		wantCalls(t, h.thing("a"), map[string]int{"watch": 4, "check": 1, "apply": 1})
	})
}

func TestAWatchThatNeverWorks(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.thing("a").on("watch", broken)
		h.swap(declare("a"))
		h.settle()
		pass(time.Hour)
		if n := h.thing("a").count("watch"); n < 60 || n > 80 {
			t.Errorf("begun %d times in an hour, want about once a minute", n)
		}
		h.wantTold("fake/a failed: watch: broken") // once: nothing new has happened since
	})
}

func TestAWatchThatEnds(t *testing.T) {
	tests := map[string]struct {
		err  error
		want string
	}{
		"with an error": {errBroken, "fake/a failed: watch: broken"},
		"by itself":     {nil, "fake/a failed: watch: ended by itself"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *host) {
				a := h.thing("a")
				end := make(chan struct{})
				a.on("watching", func(ctx context.Context) error {
					select {
					case <-end:
						return tt.err
					case <-ctx.Done():
						return nil
					}
				})
				h.swap(declare("a"))
				h.settle()
				h.forget()
				a.on("watch", failFor(1))
				a.on("watching", nil)
				a.set("2") // while nobody looks
				close(end)
				synctest.Wait()
				h.settleOnce()
				h.wantTold(tt.want)
				pass(2 * minRewatch)
				h.settle()
				pass(2 * minRewatch)
				h.settle()
				h.wantTold(tt.want, "fake/a ok [value: 2 → 1]")
			})
		})
	}
}

// A watch that works for a moment each time is neither hot nor given up.
func TestAWatchThatFlaps(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.thing("a").on("watching", func(context.Context) error { return errors.New("gone") })
		h.swap(declare("a"))
		pass(time.Hour)
		if n := h.thing("a").count("watch"); n < 60 || n > 80 {
			t.Errorf("begun %d times in an hour, want about once a minute", n)
		}
	})
}

func TestAWatchThatLastsIsBegunAgainSoon(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		a := h.thing("a")
		a.on("watching", func(ctx context.Context) error {
			sleep(ctx, time.Hour)
			return errBroken
		})
		h.swap(declare("a"))
		pass(100*time.Hour + 100*minRewatch)
		wantCalls(t, a, map[string]int{"watch": 101})
	})
}

// What changes from the first call of changed on is seen, whatever the first check found.
func TestNothingIsMissedBetweenTheWatchAndTheCheck(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		a := h.thing("a")
		g := a.shut("check")
		h.swap(declare("a"))
		<-g.arrived
		if a.count("watch") != 1 {
			t.Fatal("checked before it is watched")
		}
		a.drift("1")
		a.drift("3")
		g.open()
		h.settle()
		if got := a.get(); got != "1" {
			t.Errorf("a is %q, want 1", got)
		}
	})
}
