package engine

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestMailboxIsBusyUntilTheLastItemIsDealtWith(t *testing.T) {
	b := newBusy()
	m := newMailbox[int](b)
	m.put(1)
	m.put(2) // in place of the first
	if got, ok := m.take(); got != 2 || !ok {
		t.Errorf("took %d, %v", got, ok)
	}
	m.put(3)
	m.finish() // of 2
	if b.settled() {
		t.Error("settled with an item that nobody took")
	}
	if got, ok := m.take(); got != 3 || !ok {
		t.Errorf("took %d, %v", got, ok)
	}
	if b.settled() {
		t.Error("settled with an item that is not dealt with")
	}
	m.finish()
	if m.finish(); b.n.Load() != 0 {
		t.Errorf("busy is %d", b.n.Load())
	}
	if _, ok := m.take(); ok {
		t.Error("took what is not there")
	}
}

func TestSemaphoresAreTheSameHoweverSpelled(t *testing.T) {
	s := newShared()
	release, err := s.hold(t.Context(), []string{"x", "x:1", "x:01"})
	if err != nil {
		t.Fatal(err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for _, spelling := range []string{"x", "x:1", "x:01"} {
		if _, err := s.hold(done, []string{spelling}); err == nil {
			t.Errorf("%s is another one", spelling)
		}
	}
	release()
	release, err = s.hold(t.Context(), []string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	release()
}

func TestSemaphoresAreTakenInOneOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared()
		first, err := s.hold(t.Context(), []string{"a"})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if release, err := s.hold(t.Context(), []string{"f", "e", "d", "c", "b", "a"}); err == nil {
				release()
			}
		}()
		synctest.Wait()
		for _, other := range []string{"b:1", "c:1", "d:1", "e:1", "f:1"} {
			if len(s.sema(other, 1)) != 0 {
				t.Errorf("%s was taken before a", other)
			}
		}
		first()
		<-ended
	})
}

// What a collector that was replaced had under way must not take the place of what counts now.
func TestStaleGatheringsAreDropped(t *testing.T) {
	inBubble(t, func(t *testing.T, h *host) {
		h.neighbour("there")(export("x", `{"value":"1"}`))
		h.swapProgram(collecting())
		h.settle()
		h.gathered.put(gathering{from: &collector{}})
		h.settle()
		h.wantCounts(Counts{Total: 1, OK: 1, Changed: 1})
		wantCalls(t, h.thing("x"), map[string]int{"open": 1, "close": 0})
	})
}
