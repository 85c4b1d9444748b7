package etcd

import (
	"context"
	"slices"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcd does not answer about progress while a watch begins at a revision that is yet to come. Here
// one does: it was made between the operator's asking and the host's hearing of it.
func TestCatchUpWithAWatchThatJustBegan(t *testing.T) {
	s := startServer(t)
	o := admit(t, s, "a", Grants{Keys: []string{"x", "y"}})
	var gate sync.Mutex
	o.hold = func() { gate.Lock(); defer gate.Unlock() }
	c := dial(t, o)
	watch := func(key string) {
		began := newLatest[bool]()
		background(t, func(ctx context.Context) error {
			return c.Watch(ctx, key, func() { began.set(true) })
		})
		began.wait(t, "it watches "+key, func(b bool) bool { return b })
	}
	watch("x")
	catchUp(t, s, c)
	gate.Lock()
	asked, err := s.root.Put(t.Context(), syncKey, "")
	if err != nil {
		t.Fatal(err)
	}
	watch("y")
	gate.Unlock()
	latestOf := newLatest[int64]()
	latestOf.set(c.Processed())
	background(t, func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-c.Moved():
				latestOf.set(c.Processed())
			}
		}
	})
	latestOf.wait(t, "it has caught up", func(p int64) bool { return p >= asked.Header.Revision })
}

// After an outage in which the store forgot the revisions missed, the state as a whole is read.
func TestCompactionDuringAnOutage(t *testing.T) {
	s := startServer(t)
	l, lo := &link{server: s}, &link{server: s}
	o := admit(t, s, "a", Grants{Collects: []string{"file"}, Keys: []string{"k"}})
	o.Dialer = l.dial
	c := dial(t, o)
	oo := adminOptions(s)
	oo.Dialer = lo.dial
	store, err := Open(t.Context(), oo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	fleet := follow(t, store)
	found := collect(t, c, "file")
	put := func(key, value string) int64 {
		r, err := s.root.Put(t.Context(), key, value)
		if err != nil {
			t.Fatal(err)
		}
		return r.Header.Revision
	}
	gone := exportKey("file", "b", "gone")
	put(gone, `{"spec":1}`)
	found.wait(t, "the first export is seen", func(f []string) bool { return len(f) == 1 })
	waitLink(t, c, true)

	l.cut()
	lo.cut()
	waitLink(t, c, false)
	if _, err := s.root.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	put(exportKey("file", "b", "kept"), `{"spec":2}`)
	put(reportKey("b"), `{"graph":3}`)
	last := put(graphKey("b"), `{}`)
	if _, err := s.root.Compact(t.Context(), last, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	l.heal()
	lo.heal()
	found.wait(t, "the export made meanwhile is seen", func(f []string) bool { return slices.Equal(f, []string{"file/b/kept=2"}) })
	fleet.wait(t, "the operator sees the host", func(f Fleet) bool {
		return f.Hosts["b"].Graph == last && f.Hosts["b"].Report.Graph == 3 && f.LastData >= last
	})
	catchUp(t, s, c)
}

// Processed says nothing for a Collect that has not been answered.
func TestProcessedWaitsForTheFirstAnswer(t *testing.T) {
	s := startServer(t)
	l := &link{server: s}
	o := admit(t, s, "a", Grants{Collects: []string{"file"}})
	o.Dialer = l.dial
	c := dial(t, o)
	catchUp(t, s, c)
	waitLink(t, c, true)
	l.cut()
	waitLink(t, c, false)
	if c.Processed() == 0 {
		t.Error("what was processed is forgotten in an outage")
	}
	processed := newLatest[int64]()
	processed.set(c.Processed())
	background(t, func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-c.Moved():
				processed.set(c.Processed())
			}
		}
	})
	found := collect(t, c, "file")
	processed.wait(t, "the unanswered collect counts", func(p int64) bool { return p == 0 })
	l.heal()
	found.wait(t, "it is answered", func(f []string) bool { return f != nil })
	processed.wait(t, "the answered collect counts", func(p int64) bool { return p > 0 })
}

func TestRefusedWatchFails(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := dial(t, admit(t, s, "a", Grants{}))
	if err := c.Collect(t.Context(), []string{"file"}, nil); err == nil {
		t.Error("a collect that is not granted goes on")
	}
	if err := c.Watch(t.Context(), "k", nil); err == nil {
		t.Error("a watch that is not granted goes on")
	}
	catchUp(t, s, c)
}
