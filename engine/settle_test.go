package engine

import (
	"testing"
	"testing/synctest"
)

func TestSettledNotBeforeEverythingIsDone(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		if !h.Status().Settled {
			t.Error("a runner with nothing to do is not settled")
		}
		a := h.thing("a")
		watch, check, apply := a.shut("watch"), a.shut("check"), a.shut("apply")
		h.swap(declare("a"), declare("b"))
		for _, g := range []*gate{watch, check, apply} {
			<-g.arrived
			h.unsettled()
			g.open()
		}
		h.settle()
	})
}

func TestSettledNotBeforeTheCheckThatAMarkAsksFor(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("a"))
		h.settle()
		a := h.thing("a")
		first := a.shut("check")
		a.fire()
		if h.Status().Settled { // no waiting: it must be true when changed returns
			t.Error("settled right after a mark")
		}
		<-first.arrived
		a.fire() // the check under way may have looked already
		second := a.shut("check")
		first.open()
		<-second.arrived
		h.unsettled()
		second.open()
		h.settle()
		wantCalls(t, a, map[string]int{"check": 3, "apply": 1})
	})
}

func TestMarksDuringARunMakeOneMore(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		g := h.thing("a").shut("apply")
		h.swap(declare("a"))
		<-g.arrived
		for range 100 {
			h.thing("a").fire()
		}
		g.open()
		h.settle()
		wantCalls(t, h.thing("a"), map[string]int{"check": 2, "apply": 1})
	})
}

func TestSettledNotWhileAnExportIsUnacknowledged(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		g := newGate()
		h.world.set(g.hook, nil)
		p := program(declare("a"))
		p.Exports = []Export{{Kind: "fake", Name: "x", Spec: []byte(`{"value":"1"}`)}}
		h.swapProgram(p)
		<-g.arrived
		h.unsettled()
		g.open()
		h.settle()
	})
}

func TestSettledNotBeforeTheFirstCollection(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		g := newGate()
		h.world.set(nil, g.hook)
		p := program(declare("a"))
		p.Collects = []Collect{{Kind: "fake"}}
		h.swapProgram(p)
		<-g.arrived
		h.unsettled()
		g.open()
		h.settle()
	})
}

func TestSettledNotByBeingStopped(t *testing.T) {
	for _, call := range []string{"apply", "export", "collect"} {
		t.Run(call, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *host) {
				g := newGate()
				p := program(declare("a"), declare("b", after("a")))
				switch call {
				case "apply":
					h.thing("a").on("apply", g.hook)
				case "export":
					h.world.set(g.hook, nil)
					p.Exports = []Export{{Kind: "fake", Name: "x"}}
				case "collect":
					h.world.set(nil, g.hook)
					p.Collects = []Collect{{Kind: "fake"}}
				}
				h.swapProgram(p)
				<-g.arrived
				synctest.Wait()
				h.stop()
				if h.Status().Settled {
					t.Error("settled though the work was only given up")
				}
			})
		})
	}
}

func TestSettledStaysTrueWhenStopped(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swap(declare("a"), declare("b", after("a")))
		h.settle()
		h.stop()
		if !h.Status().Settled {
			t.Error("not settled, though all was done")
		}
	})
}

// Status is of one moment: settled never goes with the revision or the counts of another.
func TestStatusIsConsistent(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		const rounds = 300
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := h.Status()
				if s.Settled && (int64(s.Counts.OK) != s.Revision || int64(s.Counts.Total) != s.Revision) {
					t.Errorf("settled with %+v at revision %d", s.Counts, s.Revision)
					return
				}
			}
		}()
		for i := range rounds {
			nodes := []decl{declare("a", value(string(rune('a'+i%7))))}
			if i%2 == 0 {
				nodes = append(nodes, declare("b", after("a")))
			}
			if err := h.Swap(program(nodes...), int64(len(nodes))); err != nil {
				t.Fatal(err)
			}
			for !h.Status().Settled {
				<-h.Moved()
			}
			if got := h.Status().Revision; got != int64(len(nodes)) {
				t.Fatalf("revision %d, want %d", got, len(nodes))
			}
		}
		close(stop)
		<-ended
	})
}

func TestMovedIsSignalled(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		drain := func() (moved bool) {
			synctest.Wait()
			select {
			case <-h.Moved():
				return true
			default:
				return false
			}
		}
		drain()
		if drain() {
			t.Error("moved with nothing going on")
		}
		h.swap(declare("a"))
		if !drain() {
			t.Error("a swap did not signal")
		}
		g := h.thing("a").shut("check")
		h.thing("a").fire()
		if !drain() {
			t.Error("becoming unsettled did not signal")
		}
		g.open()
		if !drain() {
			t.Error("becoming settled did not signal")
		}
	})
}

func TestCounts(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.thing("bad").on("check", broken)
		h.thing("there").set("1")
		h.swap(
			declare("new"), declare("there"), declare("bad"), declare("late", after("bad")),
			declare("would", meta(Meta{Noop: true})),
		)
		h.settle()
		h.wantCounts(Counts{Total: 5, OK: 2, Changed: 1, Differs: 1, Failed: 1, Skipped: 1})
		h.thing("there").drift("2")
		h.thing("new").drift("2")
		h.settle()
		h.wantCounts(Counts{Total: 5, OK: 2, Changed: 2, Differs: 1, Failed: 1, Skipped: 1})
		h.swap(declare("new"), declare("bad", value("2")))
		h.settle()
		h.wantCounts(Counts{Total: 2, OK: 1, Changed: 1, Failed: 1})
		h.swap()
		h.settle()
		h.wantCounts(Counts{})
	})
}

func TestSwapRefusesWhatCannotRun(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		cycle := program(declare("a", after("b")), declare("b", after("a")))
		if err := h.Swap(cycle, 1); err == nil {
			t.Error("a cycle was taken")
		}
		if err := h.Swap(program(declare("strange/a")), 1); err == nil {
			t.Error("an unknown kind was taken")
		}
		if !h.Status().Settled {
			t.Error("unsettled by what was refused")
		}
	})
}
