package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestIndependentNodesRunAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		const n = 50
		g := newGate()
		var nodes []decl
		for i := range n {
			name := fmt.Sprint(i)
			h.thing(name).on("apply", g.hook)
			nodes = append(nodes, declare(name))
		}
		h.swap(nodes...)
		for range n { // all are inside Apply before any may leave it
			<-g.arrived
		}
		h.unsettled()
		g.open()
		h.settle()
		h.wantCounts(Counts{Total: n, OK: n, Changed: n})
	})
}

func TestEdgesOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		// The order in which they are declared is the wrong one.
		h.swap(declare("c", after("b")), declare("b", after("a")), declare("a"))
		h.settle()
		if got, want := h.calls("apply"), []string{"a", "b", "c"}; !slices.Equal(got, want) {
			t.Errorf("applied %v, want %v", got, want)
		}
		if got := h.calls("check"); len(got) != 3 {
			t.Errorf("checked %v, want each once", got)
		}
	})
}

func TestDiamond(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		left, right := h.thing("left").shut("apply"), h.thing("right").shut("apply")
		h.swap(
			declare("top"), declare("left", after("top")), declare("right", after("top")),
			declare("bottom", after("left", "right")),
		)
		<-left.arrived
		<-right.arrived
		left.open()
		h.unsettled()
		if n := h.thing("bottom").count("check"); n != 0 {
			t.Errorf("bottom was checked before right was done")
		}
		right.open()
		h.settle()
		wantCalls(t, h.thing("bottom"), map[string]int{"check": 1, "apply": 1})
	})
}

func TestTwoThousandNodesSettle(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		const n = 2000
		var nodes []decl
		for i := range n {
			d := declare(fmt.Sprint(i))
			for _, up := range []int{i - 1, i - 40} {
				if up >= 0 && i%40 != 0 {
					after(fmt.Sprint(up))(&d)
				}
			}
			nodes = append(nodes, d)
		}
		h.swap(nodes...)
		h.settle()
		h.wantCounts(Counts{Total: n, OK: n, Changed: n})
		if got := len(h.calls("check")); got != n {
			t.Errorf("%d checks, want one a node", got)
		}
	})
}

func TestADependencyInDoubtComesFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("a"), declare("b", after("a")))
		h.settle()
		g := h.thing("a").shut("check")
		h.forget()
		h.thing("a").fire()
		h.thing("b").fire()
		h.unsettled()
		h.wantNotes("check a")
		g.open()
		h.settle()
		h.wantNotes("check a", "check b")
	})
}

// A dependency that is marked in each of its runs must not keep its dependents waiting.
func TestARestlessDependencyDoesNotStarveDependents(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		a := h.thing("a")
		a.on("check", func(context.Context) error { a.fire(); return nil })
		h.swap(declare("a"), declare("b", after("a")))
		pass(time.Second)
		wantCalls(t, h.thing("b"), map[string]int{"apply": 1})
		n := a.count("check")
		pass(10 * time.Second)
		if more := a.count("check") - n; more > restlessBurst+10*restless {
			t.Errorf("%d runs in ten seconds", more)
		}
		if h.Status().Settled {
			t.Error("settled while a check is always asked for")
		}
	})
}
