package engine

import (
	"testing"
)

func TestNotifyRefreshesOnceBeforeTheCheck(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.thing("b").set("1")
		h.swap(declare("a"), declare("b", notifiedBy("a")))
		h.settle()
		h.forget()
		h.thing("a").drift("2")
		h.settle()
		h.wantNotes("check a", "apply a", "refresh b", "check b", "apply b")
		h.wantTold("fake/a ok [value: 2 → 1]", "fake/b ok [refresh] refreshed")
	})
}

func TestSeveralNotifiersRefreshOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("a"), declare("b"), declare("c", notifiedBy("a"), notifiedBy("b")))
		h.settle()
		wantCalls(t, h.thing("c"), map[string]int{"refresh": 1, "check": 1, "apply": 1})
	})
}

func TestPlainEdgesCheckAgainWithoutARefresh(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("a"), declare("b", after("a")), declare("plain/c", notifiedBy("a")), declare("d", after("b")))
		h.settle()
		h.forget()
		h.thing("a").drift("2")
		h.settle()
		wantCalls(t, h.thing("b"), map[string]int{"refresh": 0, "check": 2, "apply": 1})
		wantCalls(t, h.thing("c"), map[string]int{"refresh": 0, "check": 2, "apply": 1})
		wantCalls(t, h.thing("d"), map[string]int{"check": 1}) // b did not change
		h.wantTold("fake/a ok [value: 2 → 1]")
	})
}

func TestNothingIsToldOfWhatDidNotChange(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("a"), declare("b", notifiedBy("a")), declare("c", after("a")))
		h.settle()
		h.forget()
		h.thing("a").fire()
		h.settle()
		h.wantNotes("check a")
		h.wantTold()
	})
}

func TestARefreshDuringARunIsNotLost(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("a"), declare("b", notifiedBy("a")))
		h.settle()
		b := h.thing("b")
		g := b.shut("check")
		b.fire()
		<-g.arrived
		h.thing("a").drift("2")
		h.unsettled()
		h.forget()
		b.on("check", nil)
		g.open()
		h.settle()
		h.wantNotes("refresh b", "check b", "apply b")
	})
}

func TestARefreshIsOwedUntilARunEndsWell(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		b := h.thing("b")
		b.set("1")
		b.on("apply", broken)
		h.swap(declare("a"), declare("b", notifiedBy("a")))
		h.settle()
		b.on("apply", nil)
		b.fire()
		h.settle()
		b.fire()
		h.settle()
		wantCalls(t, b, map[string]int{"refresh": 2, "check": 3, "apply": 2})
	})
}

func TestARefreshIsOwedAcrossASwap(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		b := h.thing("b")
		b.set("1")
		g := b.shut("apply")
		h.swap(declare("a"), declare("b", notifiedBy("a")))
		<-g.arrived // refreshed, and about to do it
		b.on("apply", nil)
		h.swap(declare("a"), declare("b", notifiedBy("a"), meta(Meta{Retry: 1})))
		h.settle()
		wantCalls(t, b, map[string]int{"refresh": 2, "check": 2, "apply": 2})
		wantCalls(t, h.thing("a"), map[string]int{"check": 1})
	})
}
