package engine

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// neighbour returns what exports as another host does.
func (h *host) neighbour(name string) func(exports ...Export) {
	memory := h.world.World.(*memoryWorld).m
	w := memory.World(name)
	return func(exports ...Export) {
		h.t.Helper()
		if err := w.Export(h.t.Context(), exports); err != nil {
			h.t.Fatal(err)
		}
	}
}

func export(name, spec string) Export { return Export{Kind: "fake", Name: name, Spec: []byte(spec)} }

func collecting(nodes ...decl) *Program {
	p := program(nodes...)
	p.Collects = []Collect{{Kind: "fake"}}
	return p
}

func TestCollect(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		there := h.neighbour("there")
		there(export("x", `{"value":"1"}`), export("y", `{"value":"1"}`))
		h.swapProgram(collecting(declare("a")))
		h.settle()
		h.wantCounts(Counts{Total: 3, OK: 3, Changed: 3})
		if want := "fake/x (from there) ok [value: (none) → 1]"; !slices.Contains(h.told(), want) {
			t.Errorf("no event %q in %q", want, h.told())
		}

		h.forget()
		there(export("x", `{"value":"2"}`), export("y", `{"value":"1"}`)) // changed
		synctest.Wait()
		h.settle()
		h.wantTold("fake/x (from there) ok [value: 1 → 2]")
		h.wantNotes("close x", "open x", "watch x", "check x", "apply x")

		h.forget()
		there(export("y", `{"value":"1"}`)) // withdrawn
		synctest.Wait()
		h.settle()
		h.wantNotes("close x")
		h.wantCounts(Counts{Total: 2, OK: 2, Changed: 2})
	})
}

func TestTheSameNameFromSeveralHosts(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.neighbour("b")(export("x", `{"value":"1"}`))
		h.neighbour("c")(export("x", `{"value":"1"}`))
		h.swapProgram(collecting(declare("x")))
		h.settle()
		if got := h.Status().Counts.Total; got != 3 {
			t.Errorf("%d resources, want 3", got)
		}
	})
}

// What two nodes would keep in two ways is kept in that of the first: the host's own, else that of the
// first host by name. When that goes, the other takes over.
func TestOnePlaceIsKeptByOne(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		own := declare("own")
		own.Node.Spec = fakeSpec{Value: "1", At: "/own"}
		h.neighbour("a")(export("taken", `{"value":"2","at":"/own"}`), export("x", `{"value":"a","at":"/x"}`))
		b := h.neighbour("b")
		b(export("y", `{"value":"b","at":"/x"}`), export("same", `{"value":"a","at":"/x"}`))
		h.swapProgram(collecting(own))
		h.settle()
		h.wantCounts(Counts{Total: 3, OK: 3, Changed: 3})
		for _, left := range []string{"/own is kept by fake/own already", "/x is kept by fake/x (from a) already"} {
			if n := h.log.count(left); n != 1 {
				t.Errorf("%d times %q in:\n%s", n, left, h.log.buf.String())
			}
		}
		h.neighbour("a")()
		b(export("y", `{"value":"b","at":"/x"}`))
		synctest.Wait()
		h.settle()
		if got := h.thing("y").get(); got != "b" {
			t.Errorf("y is %q when nobody else keeps it", got)
		}
	})
}

// A write is accounted for from the moment at which the world hands it over.
func TestSettledNotBetweenACollectionAndItsEffect(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.swapProgram(collecting())
		h.settle()
		g := h.thing("x").shut("apply")
		h.neighbour("there")(export("x", `{"value":"1"}`))
		<-g.arrived
		h.unsettled()
		g.open()
		h.settle()
	})
}

func TestMalformedExportsAreLeftOut(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		sema := export("sema", `{"value":"1"}`)
		sema.Meta.Sema = []string{"x:0"}
		bad := []Export{
			export("no-json", `{`), export("unknown", `{"valeu":"1"}`), export("null", ``), sema,
			export("invalid", `{"value":"invalid"}`), export("explosive", `{"value":"explosive"}`),
		}
		there := h.neighbour("there")
		there(append(bad, export("good", `{"value":"1"}`))...)
		h.swapProgram(collecting(declare("a")))
		h.settle()
		h.wantCounts(Counts{Total: 2, OK: 2, Changed: 2})
		if n := h.log.count("collect: left out"); n != len(bad) {
			t.Errorf("%d warnings, want %d:\n%s", n, len(bad), h.log.buf.String())
		}
		there(append(bad, export("better", `{"value":"1"}`))...)
		synctest.Wait()
		h.settle()
		if n := h.log.count("collect: left out"); n != len(bad) {
			t.Errorf("warned again of the same: %d warnings", n)
		}
	})
}

func TestCollectablesAdaptToThePattern(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		var dirs []string
		kind := NewKind("fake", "", func(name string, s fakeSpec, _ Env) (Resource, error) {
			dirs = append(dirs, s.Dir)
			return h.open(name, s), nil
		})
		h.cfg.Kinds["fake"] = kind
		h.neighbour("there")(export("x", `{"value":"1"}`))
		p := program()
		p.Collects = []Collect{{Kind: "fake", Pattern: "/srv/"}}
		h.swapProgram(p)
		h.settle()
		p = program()
		p.Collects = []Collect{{Kind: "fake", Pattern: "/opt/"}}
		h.swapProgram(p)
		h.settle()
		if want := []string{"/srv/", "/opt/"}; !slices.Equal(dirs, want) {
			t.Errorf("opened in %q, want %q", dirs, want)
		}
	})
}

// Another list of collects does not disturb what is collected already.
func TestACollectMoreLeavesTheCollectedAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		there := h.neighbour("there")
		there(export("x", `{"value":"1"}`), Export{Kind: "plain", Name: "y", Spec: []byte(`{"value":"1"}`)})
		h.swapProgram(collecting())
		h.settle()
		h.forget()
		p := collecting()
		p.Collects = append(p.Collects, Collect{Kind: "plain"})
		h.swapProgram(p)
		h.settle()
		h.wantNotes("open y", "watch y", "check y", "apply y")
		h.forget()
		h.swapProgram(collecting())
		h.settle()
		h.wantNotes("close y")
		h.forget()
		h.swap()
		h.settle()
		h.wantNotes("close x")
		there(export("z", `{"value":"1"}`)) // nobody asks for it any more
		synctest.Wait()
		h.wantCounts(Counts{})
	})
}

func TestACollectThatIsGivenUpIsNotWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		g := newGate()
		h.world.set(nil, g.hook)
		h.swapProgram(collecting())
		<-g.arrived
		p := program()
		p.Collects = []Collect{{Kind: "plain"}}
		h.swapProgram(p)
		<-g.arrived
		h.unsettled() // by the new one
		h.swap()
		h.settle()
	})
}

func TestACollectThatFailsIsBegunAgain(t *testing.T) {
	for name, err := range map[string]error{"error": errBroken, "end": errEnd} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *host) {
				var fail atomic.Bool
				fail.Store(true)
				w := &flakyWorld{World: h.world.World, fail: &fail, err: err}
				h.cfg.World = w
				h.neighbour("there")(export("x", `{"value":"1"}`))
				h.swapProgram(collecting())
				pass(time.Minute)
				h.unsettled()
				if n := h.log.count("collect: will be tried again"); n < 20 || n > 60 {
					t.Errorf("%d tries in a minute", n)
				}
				fail.Store(false)
				start := time.Now()
				h.settle()
				if wait := time.Since(start); wait > maxReworld {
					t.Errorf("noticed after %v", wait)
				}
				h.wantCounts(Counts{Total: 1, OK: 1, Changed: 1})
			})
		})
	}
}

var errEnd = errors.New("stands for a nil error")

type flakyWorld struct {
	World
	fail *atomic.Bool
	err  error
}

func (w *flakyWorld) Collect(ctx context.Context, kinds []string, changed func([]Export)) error {
	if !w.fail.Load() {
		return w.World.Collect(ctx, kinds, changed)
	}
	if w.err == errEnd {
		return nil
	}
	return w.err
}

func TestExportsArePutWhenTheyChange(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		with := func(value string, exports ...Export) *Program {
			p := program(declare("a"))
			p.Exports = exports
			p.Name = value
			return p
		}
		x, y := export("x", `{"value":"1"}`), export("y", `{"value":"1"}`)
		for _, p := range []*Program{with("1", x), with("2", x), with("3", x, y), with("4"), with("5")} {
			h.swapProgram(p)
			h.settle()
		}
		var sizes []int
		for _, e := range h.world.exports {
			sizes = append(sizes, len(e))
		}
		if want := []int{1, 2, 0}; !slices.Equal(sizes, want) {
			t.Errorf("exported %v resources, want %v", sizes, want)
		}
	})
}

func TestAnExportThatFailsIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.world.set(broken, nil)
		p := program()
		p.Exports = []Export{export("x", `{"value":"1"}`)}
		h.swapProgram(p)
		pass(time.Minute)
		h.unsettled()
		if n := h.log.count("export: will be tried again"); n < 20 || n > 60 {
			t.Errorf("%d tries in a minute", n)
		}
		h.world.set(nil, nil)
		newer := program()
		newer.Exports = []Export{export("y", `{"value":"1"}`)}
		h.swapProgram(newer)
		start := time.Now()
		h.settle()
		if wait := time.Since(start); wait != 0 {
			t.Errorf("newer exports waited %v", wait)
		}
		last := h.world.exports[len(h.world.exports)-1]
		if len(last) != 1 || last[0].Name != "y" {
			t.Errorf("exported %v last, want y", last)
		}
	})
}

func TestAnExportReachesTheExporterItself(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		p := collecting()
		p.Exports = []Export{export("x", `{"value":"1"}`)}
		h.swapProgram(p)
		for h.Status().Counts.OK != 1 {
			<-h.Moved()
		}
		h.settle()
	})
}
