package engine

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// That nothing is left when a bubble ends is checked by synctest: it panics if a goroutine is.

func TestCancelStopsWhateverIsGoingOn(t *testing.T) {
	for _, call := range []string{"watch", "watching", "check", "apply"} {
		t.Run(call, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *host) {
				const n = 20
				g := newGate()
				var nodes []decl
				for i := range n {
					h.thing(fmt.Sprint(i)).on(call, g.hook)
					nodes = append(nodes, declare(fmt.Sprint(i)), declare(fmt.Sprint("after", i), after(fmt.Sprint(i))))
				}
				h.swap(nodes...)
				for range n {
					<-g.arrived
				}
				start := time.Now()
				h.stop()
				if took := time.Since(start); took != 0 {
					t.Errorf("took %v", took)
				}
				for i := range n {
					wantCalls(t, h.thing(fmt.Sprint(i)), map[string]int{"open": 1, "close": 1})
				}
			})
		})
	}
}

func TestCancelWhileWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.world.set(broken, broken) // to be tried again later
		for _, name := range []string{"retried", "muted", "limited"} {
			h.thing(name).on("check", broken)
		}
		h.thing("unwatched").on("watch", broken)
		g := h.thing("holder").shut("apply")
		p := collecting(
			declare("retried", meta(Meta{Retry: -1, Delay: Duration(time.Hour)})), declare("muted"), declare("unwatched"),
			declare("limited", meta(Meta{Retry: -1, Limit: 0.001})),
			declare("polled", meta(Meta{Poll: Duration(time.Hour)})),
			declare("holder", meta(Meta{Sema: []string{"x"}})),
			declare("skipped", after("muted")),
		)
		p.Exports = []Export{export("x", `{"value":"1"}`)}
		h.swapProgram(p)
		<-g.arrived
		h.swapProgram(p) // and something to swap
		start := time.Now()
		h.stop()
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestCancelIsBoundedWhateverDoesNotStop(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		var gates []*gate
		for _, call := range []string{"watching", "check", "apply", "close"} {
			g := h.thing(call).shut(call)
			g.deaf = true
			gates = append(gates, g)
		}
		world := newGate()
		world.deaf = true
		h.world.set(world.hook, world.hook)
		p := collecting(declare("watching"), declare("check"), declare("apply"), declare("close"), declare("ok"))
		p.Exports = []Export{export("x", `{"value":"1"}`)}
		h.swapProgram(p)
		for _, g := range gates[:3] {
			<-g.arrived
		}
		<-world.arrived
		<-world.arrived
		start := time.Now()
		h.stop()
		if took := time.Since(start); took != 2*stopBound {
			t.Errorf("took %v, want %v for the resources and as much for the exchange", took, stopBound)
		}
		if n := h.log.count("left behind"); n != 5 {
			t.Errorf("%d warnings, want 5:\n%s", n, h.log.buf.String())
		}
		for _, g := range append(gates, world) { // what was left behind ends as soon as it can
			g.open()
		}
	})
}

func TestCancelDuringASwap(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		g := h.thing("old").shut("close")
		g.deaf = true
		kept := h.thing("kept").shut("apply")
		h.swap(declare("old"), declare("kept"))
		<-kept.arrived
		h.swap(declare("kept"), declare("new"))
		<-g.arrived
		h.cancel() // the loop waits for old; kept need not wait for that
		pass(0)
		wantCalls(t, h.thing("kept"), map[string]int{"close": 1})
		g.open()
		<-h.ended
		wantCalls(t, h.thing("new"), map[string]int{"apply": 0})
	})
}

func TestCancelBeforeAnything(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) { h.stop() })
}

// What an apply has done is told even when the host is being stopped.
func TestCancelTellsWhatWasDone(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.thing("a").on("apply", func(context.Context) error {
			h.cancel()
			return nil
		})
		h.swap(declare("a"), declare("b", after("a")))
		<-h.ended
		h.wantTold("fake/a ok [value: (none) → 1]")
		wantCalls(t, h.thing("b"), map[string]int{"apply": 0})
	})
}
