package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// failFor returns a hook that fails n times.
func failFor(n int) func(context.Context) error {
	var calls atomic.Int64
	return func(context.Context) error {
		if calls.Add(1) <= int64(n) {
			return errBroken
		}
		return nil
	}
}

func TestRetry(t *testing.T) {
	tests := []struct {
		name         string
		retry, fails int
		checks       int
		well         bool
	}{
		{"none", 0, 1, 1, false},
		{"enough", 3, 3, 4, true},
		{"too few", 2, 3, 3, false},
		{"for ever", -1, 1000, 1001, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *host) {
				start := time.Now()
				h.thing("a").on("check", failFor(tt.fails))
				h.swap(declare("a", meta(Meta{Retry: tt.retry, Delay: Duration(time.Minute)})))
				h.settle()
				wantCalls(t, h.thing("a"), map[string]int{"check": tt.checks})
				if waits := time.Since(start) / time.Minute; waits != time.Duration(tt.checks-1) {
					t.Errorf("waited %d times the delay for %d tries", waits, tt.checks)
				}
				if well := h.Status().Counts.OK == 1; well != tt.well {
					t.Errorf("well is %v", well)
				}
				if len(h.told()) != 1 {
					t.Errorf("events %q, want the outcome alone", h.told())
				}
			})
		})
	}
}

func TestRetryWithoutDelayIsNotHot(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.thing("a").on("check", broken)
		h.swap(declare("a", meta(Meta{Retry: -1})))
		pass(10 * time.Second)
		if n := h.thing("a").count("check"); n < 10 || n > 200 {
			t.Errorf("%d tries in ten seconds", n)
		}
		h.unsettled()
	})
}

func TestAResourceThatDoesNotOpenIsNotRetried(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.thing("a").on("open", broken)
		h.swap(declare("a", meta(Meta{Retry: -1})))
		h.settle()
		h.wantTold("fake/a failed: open: broken")
	})
}

func TestLimit(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("a", meta(Meta{Limit: 0.1, Burst: 3})))
		h.settle()
		start := time.Now()
		for range 5 { // 2 of the burst are left
			h.thing("a").fire()
			h.settle()
		}
		if took := time.Since(start).Round(time.Second); took != 30*time.Second {
			t.Errorf("3 runs over a burst at one in ten seconds took %v", took)
		}
	})
}

func TestTimeout(t *testing.T) {
	for _, call := range []string{"check", "apply"} {
		t.Run(call, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *host) {
				h.thing("a").shut(call)
				h.swap(declare("a", meta(Meta{Timeout: Duration(7 * time.Second)})))
				start := time.Now()
				h.settle()
				if took := time.Since(start); took != 7*time.Second {
					t.Errorf("gave up after %v", took)
				}
				want := "fake/a failed: check: timed out after 7s"
				if call == "apply" {
					want = "fake/a failed [value: (none) → 1]: apply: timed out after 7s"
				}
				h.wantTold(want)
			})
		})
	}
}

func TestTimeoutDoesNotCountTheWaitForASemaphore(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		m := Meta{Sema: []string{"x"}, Timeout: Duration(3 * time.Second)}
		for _, name := range []string{"a", "b", "c"} {
			h.thing(name).on("apply", func(ctx context.Context) error {
				sleep(ctx, 2*time.Second)
				return ctx.Err()
			})
		}
		h.swap(declare("a", meta(m)), declare("b", meta(m)), declare("c", meta(m)))
		h.settle()
		h.wantCounts(Counts{Total: 3, OK: 3, Changed: 3})
	})
}

func TestSema(t *testing.T) {
	for sema, size := range map[string]int{"x": 1, "x:1": 1, "x:2": 2, "x:9": 6} {
		t.Run(sema, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *host) {
				const n = 6
				var mu sync.Mutex
				inside, most := 0, 0
				enter := func(n int) {
					mu.Lock()
					defer mu.Unlock()
					inside += n
					most = max(most, inside)
				}
				g := newGate()
				var nodes []decl
				for i := range n {
					name := string(rune('a' + i))
					h.thing(name).on("apply", func(ctx context.Context) error {
						enter(1)
						defer enter(-1)
						return g.hook(ctx)
					})
					nodes = append(nodes, declare(name, meta(Meta{Sema: []string{sema}})))
				}
				h.swap(nodes...)
				synctest.Wait()
				if got := len(g.arrived); got != size {
					t.Errorf("%d at once, want %d", got, size)
				}
				g.open()
				h.settle()
				if most != size {
					t.Errorf("at most %d at once, want %d", most, size)
				}
			})
		})
	}
}

func TestSemasInAnyOrderDoNotDeadlock(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		orders := [][]string{{"x", "y", "z"}, {"z", "y", "x"}, {"y:1", "z", "x"}, {"x", "x:1", "x:01"}, {"z:01", "x"}}
		var nodes []decl
		for i := range 100 {
			name := string(rune('a'+i%26)) + string(rune('a'+i/26))
			nodes = append(nodes, declare(name, meta(Meta{Sema: orders[i%len(orders)]})))
		}
		h.swap(nodes...)
		h.settle()
		h.wantCounts(Counts{Total: 100, OK: 100, Changed: 100})
	})
}

func TestABadSemaphoreIsAFailure(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("a", meta(Meta{Sema: []string{"x", "y:0"}})), declare("b", meta(Meta{Sema: []string{"x"}})))
		h.settle()
		h.wantCounts(Counts{Total: 2, OK: 1, Changed: 1, Failed: 1})
	})
}

// Those who wait for a semaphore take nothing that others need.
func TestWaitingForASemaphoreStarvesNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		g := newGate()
		var nodes []decl
		for i := range maxRuns + 20 {
			name := string(rune('a'+i%26)) + string(rune('a'+i/26))
			h.thing(name).on("apply", g.hook)
			nodes = append(nodes, declare(name, meta(Meta{Sema: []string{"x"}})))
		}
		h.swap(append(nodes, declare("free"))...)
		<-g.arrived
		synctest.Wait()
		if h.thing("free").count("apply") != 1 {
			t.Error("a resource without a semaphore had to wait")
		}
		g.open()
		h.settle()
	})
}

func TestPoll(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("a", meta(Meta{Poll: Duration(time.Minute)})))
		h.settle()
		a := h.thing("a")
		wantCalls(t, a, map[string]int{"watch": 0, "check": 1})
		a.set("2")
		pass(59 * time.Second)
		wantCalls(t, a, map[string]int{"check": 1})
		pass(time.Second)
		wantCalls(t, a, map[string]int{"check": 2, "apply": 2})
		pass(10 * time.Minute)
		wantCalls(t, a, map[string]int{"check": 12, "apply": 2})
	})
}

func TestNoopOfOneNode(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		for _, name := range []string{"real", "next"} {
			h.thing(name).set("1")
		}
		noop := meta(Meta{Noop: true})
		h.swap(
			declare("a", noop), declare("b", noop, notifiedBy("a")),
			declare("real", notifiedBy("a")), declare("next", after("a")),
		)
		h.settle()
		h.wantCounts(Counts{Total: 4, OK: 2, Differs: 2})
		wantCalls(t, h.thing("a"), map[string]int{"check": 1, "apply": 0})
		wantCalls(t, h.thing("b"), map[string]int{"refresh": 1, "apply": 0})
		// Nothing has changed, so there is nothing for a real resource to react to.
		wantCalls(t, h.thing("real"), map[string]int{"check": 1, "refresh": 0, "apply": 0})
		wantCalls(t, h.thing("next"), map[string]int{"check": 1})
		h.wantTold("fake/a differs [value: (none) → 1]", "fake/b differs [value: (none) → 1] [refresh] refreshed")
	})
}

func TestNoopSaysAThingOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("a", meta(Meta{Noop: true})))
		h.settle()
		h.thing("a").fire()
		h.settle()
		h.thing("a").drift("3")
		h.settle()
		h.thing("a").drift("1")
		h.settle()
		h.thing("a").drift("3")
		h.settle()
		h.wantTold(
			"fake/a differs [value: (none) → 1]", "fake/a differs [value: 3 → 1]", "fake/a differs [value: 3 → 1]",
		)
	})
}

func TestNoopRun(t *testing.T) {
	noop := func(c *Config) { c.Noop = true }
	inBubble(t, func(t *testing.T, h *host) {
		p := program(declare("a"), declare("b", notifiedBy("a")), declare("c", after("b")))
		p.Exports = []Export{{Kind: "fake", Name: "x", Spec: []byte(`{"value":"1"}`)}}
		h.swapProgram(p)
		h.settle()
		h.wantTold(
			"fake/a differs [value: (none) → 1]",
			"fake/b differs [value: (none) → 1] [refresh] refreshed",
			"fake/c differs [value: (none) → 1]",
		)
		if got := h.calls("apply"); got != nil {
			t.Errorf("applied %v", got)
		}
		if got := h.world.exports; got != nil {
			t.Errorf("exported %v", got)
		}
	}, noop)
}

// Two resources that undo each other's work must not take the machine with them.
func TestAFightIsNotHot(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		x := h.thing("x")
		x.echo = true
		h.swap(declare("fake/x", value("1")), declare("plain/x", value("2")))
		pass(time.Minute)
		if n := x.count("apply"); n < 100 || n > 2*(restlessBurst+60*restless) {
			t.Errorf("%d applies in a minute", n)
		}
		h.unsettled()
	})
}
