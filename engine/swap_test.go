package engine

import (
	"slices"
	"testing"
	"time"
)

func TestSwapLeavesTheUnchangedAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("kept"), declare("changed", after("kept")), declare("removed", after("changed")))
		h.settle()
		h.forget()
		h.swap(declare("kept"), declare("changed", after("kept"), value("2")), declare("added", after("changed")))
		h.settle()
		for _, n := range []string{"open", "close", "check", "apply", "watch"} {
			if slices.Contains(h.calls(n), "kept") {
				t.Errorf("%s kept", n)
			}
		}
		wantCalls(t, h.thing("changed"), map[string]int{"open": 2, "watch": 2, "close": 1, "check": 2, "apply": 2})
		wantCalls(t, h.thing("removed"), map[string]int{"open": 1, "watch": 1, "close": 1, "check": 1, "apply": 1})
		wantCalls(t, h.thing("added"), map[string]int{"open": 1, "watch": 1, "close": 0, "check": 1, "apply": 1})
		h.wantCounts(Counts{Total: 3, OK: 3, Changed: 3})
	})
}

func TestSwapOfTheSameDoesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		for range 3 {
			h.swap(declare("a"), declare("b", after("a")))
			h.settle()
		}
		wantCalls(t, h.thing("b"), map[string]int{"open": 1, "watch": 1, "close": 0, "check": 1})
		if got := h.Status().Revision; got != 3 {
			t.Errorf("revision %d, want 3", got)
		}
	})
}

func TestSwapOfEdgesAloneChecksNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("a"), declare("b", after("a")), declare("c"))
		h.settle()
		h.forget()
		h.swap(declare("b"), declare("a", after("b")), declare("c", notifiedBy("a")))
		h.settle()
		h.wantNotes()
		h.thing("a").drift("2") // the new edges are in force
		h.settle()
		h.wantNotes("check a", "apply a", "refresh c", "check c", "apply c")
	})
}

func TestSwapOfEdgesFreesTheSkipped(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.thing("a").on("check", broken)
		h.swap(declare("a"), declare("b", after("a")))
		h.settle()
		h.swap(declare("a"), declare("b"))
		h.settle()
		h.wantCounts(Counts{Total: 2, OK: 1, Changed: 1, Failed: 1})
		wantCalls(t, h.thing("a"), map[string]int{"check": 1})
	})
}

func TestTheRemovedIsClosedBeforeTheAddedIsOpened(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("old"))
		h.settle()
		g := h.thing("old").shut("close")
		h.forget()
		h.swap(declare("new"))
		<-g.arrived
		h.unsettled()
		h.wantNotes("close old")
		g.open()
		h.settle()
		h.wantNotes("close old", "open new", "watch new", "check new", "apply new")
	})
}

func TestSwapDuringAnApplyCancelsOnlyWhatWent(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		var gates []*gate
		for _, name := range []string{"kept", "changed", "removed"} {
			gates = append(gates, h.thing(name).shut("apply"))
		}
		h.swap(declare("kept"), declare("changed"), declare("removed"))
		for _, g := range gates {
			<-g.arrived
		}
		h.thing("changed").on("apply", nil)
		h.swap(declare("kept"), declare("changed", value("2")))
		h.unsettled()
		if got := h.thing("changed").get(); got != "2" {
			t.Errorf("changed is %q while kept is at work, want 2", got)
		}
		gates[0].open()
		h.settle()
		wantCalls(t, h.thing("kept"), map[string]int{"open": 1, "apply": 1, "close": 0})
		wantCalls(t, h.thing("removed"), map[string]int{"apply": 1, "close": 1})
		h.wantCounts(Counts{Total: 2, OK: 2, Changed: 2})
		h.wantTold("fake/changed ok [value: (none) → 2]", "fake/kept ok [value: (none) → 1]")
	})
}

// An apply that has succeeded though it was cancelled is told to those that depend on it.
func TestAChangeMadeWhileBeingReplacedIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		a := h.thing("a")
		g := a.shut("apply")
		g.deaf = true
		h.thing("b").set("1")
		h.swap(declare("a"), declare("b", notifiedBy("a")))
		<-g.arrived
		h.swap(declare("a", meta(Meta{Retry: 1})), declare("b", notifiedBy("a")))
		h.unsettled()
		g.open()
		h.settle()
		h.wantTold("fake/a ok [value: (none) → 1]", "fake/b ok [refresh] refreshed")
		wantCalls(t, a, map[string]int{"check": 2, "apply": 1})
		h.wantCounts(Counts{Total: 2, OK: 2, Changed: 2})
	})
}

func TestWhatDoesNotStopIsLeftBehind(t *testing.T) {
	for _, call := range []string{"apply", "check", "watching", "close"} {
		t.Run(call, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *host) {
				g := h.thing("stuck").shut(call)
				g.deaf = true
				h.swap(declare("stuck"), declare("kept"))
				if call == "close" {
					h.settle()
				} else {
					<-g.arrived
				}
				start := time.Now()
				h.swap(declare("kept"), declare("new", after("kept")))
				h.settle()
				if took := time.Since(start); took != stopBound {
					t.Errorf("left behind after %v", took)
				}
				h.wantCounts(Counts{Total: 2, OK: 2, Changed: 2})
				if n := h.log.count("resource does not stop"); n != 1 {
					t.Errorf("%d warnings", n)
				}
				g.open() // it comes back to a host that has gone on
				h.settle()
				h.wantCounts(Counts{Total: 2, OK: 2, Changed: 2})
			})
		})
	}
}

func TestTheLeftBehindDoesNotDisturbItsSuccessor(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		a := h.thing("a")
		g := a.shut("apply")
		g.deaf = true
		h.swap(declare("a"))
		<-g.arrived
		a.on("apply", nil)
		h.swap(declare("a", value("2")))
		h.settle()
		h.forget()
		g.open()
		h.settle()
		h.wantTold()
		h.wantCounts(Counts{Total: 1, OK: 1, Changed: 1})
	})
}

func TestSwapsInQuickSuccession(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		g := h.thing("a").shut("apply")
		for range 100 {
			h.swap(declare("a"))
			h.swap(declare("a", value("2")), declare("b"))
		}
		g.open()
		h.settle()
		if got := h.Status().Revision; got != 200 {
			t.Errorf("revision %d, want the last, 200", got)
		}
		if got := h.thing("a").get(); got != "2" {
			t.Errorf("a is %q, want 2", got)
		}
	})
}

func TestDependentsWaitForWhatIsReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("a"), declare("b", after("a")))
		h.settle()
		stopping := h.thing("a").shut("close")
		h.forget()
		h.swap(declare("a", value("2")), declare("b", after("a")))
		<-stopping.arrived
		h.thing("b").fire()
		h.unsettled()
		stopping.open()
		h.settle()
		h.wantNotes("close a", "open a", "watch a", "check a", "apply a", "check b")
	})
}
