package engine

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestAFailureSkipsItsDependentsAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		a := h.thing("a")
		a.on("check", broken)
		h.thing("b").set("1")
		h.swap(declare("a"), declare("b", after("a")), declare("c", after("b")), declare("d"))
		h.settle()
		h.wantCounts(Counts{Total: 4, OK: 1, Changed: 1, Failed: 1, Skipped: 2})
		for _, want := range []string{
			"fake/a failed: check: broken",
			"fake/b skipped: needs fake/a, which failed",
			"fake/c skipped: needs fake/b, which was skipped",
			"fake/d ok [value: (none) → 1]",
		} {
			if !slices.Contains(h.told(), want) {
				t.Errorf("no event %q in %q", want, h.told())
			}
		}
		if len(h.told()) != 4 {
			t.Errorf("too many events: %q", h.told())
		}

		h.forget()
		a.on("check", nil)
		a.fire()
		h.settle()
		h.wantCounts(Counts{Total: 4, OK: 4, Changed: 3})
		h.wantTold("fake/a ok [value: (none) → 1]", "fake/b ok", "fake/c ok [value: (none) → 1]")
	})
}

func TestARecoveryWithoutAChangeIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		a := h.thing("a")
		a.set("1")
		a.on("check", broken)
		h.swap(declare("a"))
		h.settle()
		a.on("check", nil)
		a.fire()
		h.settle()
		a.fire()
		h.settle()
		h.wantTold("fake/a failed: check: broken", "fake/a ok")
	})
}

// What happens to a skipped resource waits for its dependency, and does not unsettle the host.
func TestMarksOfASkippedNodeLeaveTheHostSettled(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.thing("a").on("check", broken)
		h.swap(
			declare("a"), declare("b", after("a")), declare("polled", after("a"), meta(Meta{Poll: Duration(time.Second)})),
		)
		h.settle()
		h.thing("b").fire()
		if !h.Status().Settled {
			t.Error("unsettled by an event of a skipped resource")
		}
		pass(time.Minute)
		if !h.Status().Settled {
			t.Error("unsettled by the polling of a skipped resource")
		}
		wantCalls(t, h.thing("b"), map[string]int{"check": 0})
		wantCalls(t, h.thing("polled"), map[string]int{"check": 0})
	})
}

// A resource whose failing makes events must neither run hot nor keep the host from settling.
func TestEventsOfAFailureItself(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		a := h.thing("a")
		a.on("apply", func(context.Context) error {
			a.fire()
			return errBroken
		})
		h.swap(declare("a"), declare("b"))
		h.settleOnce()
		if n := a.count("apply"); n > patience+1 {
			t.Errorf("%d runs until the host settled", n)
		}
		pass(time.Hour)
		if n := a.count("apply"); n < 20 || n > 100 {
			t.Errorf("%d runs in an hour", n)
		}
		a.on("apply", nil) // it is tried again now and then, so this is found out
		pass(maxMute)
		h.settle()
		h.wantCounts(Counts{Total: 2, OK: 2, Changed: 2})
	})
}

func TestAnEventAfterAFailureIsNotForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		a := h.thing("a")
		a.on("check", broken)
		h.swap(declare("a"))
		h.settle()
		a.on("check", nil)
		a.fire()
		h.unsettled() // muted, but the first few times it is waited for
		wantCalls(t, a, map[string]int{"check": 1})
		h.settle()
		wantCalls(t, a, map[string]int{"check": 2, "apply": 1})
	})
}

func TestARousedFailureIsTriedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		a, b := h.thing("a"), h.thing("b")
		b.on("check", broken)
		h.swap(declare("a"), declare("b", after("a")))
		h.settle()
		for range 10 { // far beyond patience, and muted for long
			b.fire()
			pass(maxMute + time.Second)
		}
		b.fire()
		pass(0)
		n, start := b.count("check"), time.Now()
		b.on("check", nil)
		a.drift("2")
		h.settle()
		if b.count("check") != n+1 || b.count("apply") != 1 {
			t.Error("b was not tried when a changed")
		}
		if took := time.Since(start); took != 0 { // virtual: nothing was waited for
			t.Errorf("b was tried after %v", took)
		}
	})
}

// What an apply did before it failed must reach those who are to be notified of it.
func TestAChangeMadeByAFailedApplyIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		a := h.thing("a")
		a.on("apply", func(context.Context) error {
			a.set("1")
			return errBroken
		})
		h.thing("b").set("1")
		h.swap(declare("a", meta(Meta{Retry: 1})), declare("b", notifiedBy("a")))
		h.settle()
		h.wantTold("fake/a ok [value: (none) → 1]", "fake/b ok [refresh] refreshed")
		h.wantCounts(Counts{Total: 2, OK: 2, Changed: 2})
	})
}

func TestPanicsAreFailures(t *testing.T) {
	_, _, line, _ := runtime.Caller(0)
	explode := func(context.Context) error { panic("boom") }
	at := fmt.Sprintf("panic: boom (failure_test.go:%d)", line+1)
	for _, call := range []string{"open", "check", "apply", "watch", "watching"} {
		t.Run(call, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *host) {
				h.thing("a").on(call, explode)
				h.swap(declare("a"), declare("b"))
				synctest.Wait()
				h.settleOnce()
				operation := call
				if call == "watching" {
					operation = "watch"
				}
				want := "fake/a failed: " + operation + ": " + at
				if call == "apply" {
					want = "fake/a failed [value: (none) → 1]: apply: " + at
				}
				if !slices.Contains(h.told(), want) {
					t.Errorf("no event %q in %q", want, h.told())
				}
				if h.thing("b").get() != "1" {
					t.Error("the rest did not go on")
				}
			})
		})
	}
}

func TestPanicOfClose(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.thing("a").on("close", func(context.Context) error { panic("boom") })
		h.swap(declare("a"))
		h.settle()
		h.swap(declare("b"))
		h.settle()
		if h.log.count("panic: boom (failure_test.go:") != 1 {
			t.Errorf("log: %s", h.log.buf.String())
		}
	})
}

func TestPanicOfRefresh(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.thing("b").set("1")
		h.thing("b").on("refresh", func(context.Context) error { panic("boom") })
		h.swap(declare("a"), declare("b", notifiedBy("a")))
		h.settle()
		h.wantCounts(Counts{Total: 2, OK: 1, Changed: 1, Failed: 1})
	})
}

// Drift is what happens to a thing that was as declared. What a graph brings, the first time or as it
// changes, is none, and what makes up for a failure neither.
func TestDrift(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		a, drifted := h.thing("a"), func() (n int) {
			h.mu.Lock()
			defer h.mu.Unlock()
			for _, e := range h.events {
				if e.Drift {
					n++
				}
			}
			return n
		}
		a.on("check", broken)
		h.swap(declare("a"))
		h.settle()
		a.on("check", nil)
		a.fire()
		h.settle()
		if n := drifted(); n != 0 {
			t.Errorf("%d drifts before it was as declared", n)
		}
		a.set("another")
		a.fire()
		h.settle()
		if n := drifted(); n != 1 {
			t.Errorf("%d drifts, want 1", n)
		}
		h.swap(declare("a", value("2")))
		h.settle()
		if n := drifted(); n != 1 {
			t.Errorf("%d drifts once the graph had changed, want 1 still", n)
		}
	})
}
