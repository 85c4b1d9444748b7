package etcd

import (
	"errors"
	"slices"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// leave has a client of host a export names and leave, and returns its lease.
func leave(t *testing.T, o Options, names ...string) int64 {
	t.Helper()
	c := dial(t, o)
	if c.Lease() != 0 {
		t.Error("there is a lease before anything was written")
	}
	if err := c.Export(t.Context(), exports("file", names...)); err != nil {
		t.Fatal(err)
	}
	if err := c.Report(t.Context(), Report{Settled: true, Graph: 1}); err != nil {
		t.Fatal(err)
	}
	lease := c.Lease()
	if err := c.Leave(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("close what was left: %v", err)
	}
	if lease == 0 {
		t.Fatal("there is no lease")
	}
	return lease
}

func waitGone(t *testing.T, s *Server, lease int64) {
	t.Helper()
	deadline := time.After(patience)
	for {
		left, err := s.root.TimeToLive(t.Context(), clientv3.LeaseID(lease))
		if err != nil {
			t.Fatal(err)
		}
		if left.TTL < 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatal("waited in vain until the lease is gone")
		case <-time.After(retryPause):
		}
	}
}

// An agent that follows another takes its exports over: nobody sees one of them vanish, but for
// those that are made no more, and these go at once.
func TestSuccessorTakesOver(t *testing.T) {
	s := startServer(t)
	o := admit(t, s, "a", Grants{Exports: []string{"file"}})
	watcher := dial(t, admit(t, s, "b", Grants{Collects: []string{"file"}}))
	found := collect(t, watcher, "file")
	o.Predecessor = leave(t, o, "dropped", "kept", "late")
	before := revisions(t, s, exportsPrefix)
	if len(before) != 3 {
		t.Fatalf("who left took along what it exported: %v", before)
	}

	c := dial(t, o)
	if err := c.Export(t.Context(), exports("file", "kept")); err != nil {
		t.Fatal(err)
	}
	if err := c.Report(t.Context(), Report{Graph: 1}); err != nil { // it is not done yet
		t.Fatal(err)
	}
	if n := len(revisions(t, s, exportsPrefix)); n != 3 {
		t.Errorf("%d exports are left while the successor is at work", n)
	}
	if err := c.Export(t.Context(), exports("file", "kept", "late", "new")); err != nil {
		t.Fatal(err)
	}
	if err := c.Report(t.Context(), Report{Graph: 1, Settled: true}); err != nil {
		t.Fatal(err)
	}
	// In less time than the lease, 30 s, would take to end.
	found.wait(t, "the successor's exports are seen", func(f []string) bool {
		return slices.Equal(f, []string{`file/a/kept="kept"`, `file/a/late="late"`, `file/a/new="new"`})
	})
	waitGone(t, s, o.Predecessor)
	var gone []string
	for _, e := range history(t, s, 1) {
		if isDelete(e) {
			gone = append(gone, string(e.Kv.Key))
		}
	}
	if !slices.Equal(gone, []string{exportKey("file", "a", "dropped")}) {
		t.Errorf("what vanished: %v", gone)
	}
	if len(revisions(t, s, reportKey("a"))) != 1 {
		t.Error("the report is gone")
	}
}

// A successor that takes its time keeps what was there.
func TestPredecessorIsKeptAlive(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	o := admit(t, s, "a", Grants{Exports: []string{"file"}})
	o.TTL = 5 * time.Second // a busy machine may take some of them to prolong it
	other := o
	o.Predecessor = leave(t, o, "x")
	c := dial(t, o)
	unkept := leave(t, other, "y")
	waitGone(t, s, unkept)
	waitGone(t, s, leave(t, other, "z")) // and once more as long
	if len(revisions(t, s, exportKey("file", "a", "x"))) != 1 {
		t.Error("what the predecessor exported is gone before its successor was settled")
	}
	if err := c.Report(t.Context(), Report{Settled: true}); err != nil {
		t.Fatal(err)
	}
	waitGone(t, s, o.Predecessor)
}

// Whoever closes takes along what it has not yet taken over.
func TestCloseWithdrawsThePredecessor(t *testing.T) {
	s := startServer(t)
	o := admit(t, s, "a", Grants{Exports: []string{"file"}})
	o.Predecessor = leave(t, o, "x")
	c := dial(t, o)
	if err := c.Export(t.Context(), exports("file", "y")); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if left := revisions(t, s, exportsPrefix); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// Who closes before it could ask for its predecessor finds out then that it is useless.
func TestUselessPredecessorAtClose(t *testing.T) {
	s := startServer(t)
	o := admit(t, s, "a", Grants{Exports: []string{"file"}})
	foreign := leave(t, admit(t, s, "b", Grants{Exports: []string{"file"}}), "y")
	c := dial(t, o)
	if err := newPredecessor(c.session, foreign).revoke(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.root.KeepAliveOnce(t.Context(), clientv3.LeaseID(foreign)); err != nil {
		t.Errorf("another's lease: %v", err)
	}
}

// A predecessor that is gone, or was never this host's, does no harm.
func TestUselessPredecessors(t *testing.T) {
	s := startServer(t)
	o := admit(t, s, "a", Grants{Exports: []string{"file"}})
	gone := leave(t, o, "x")
	if _, err := s.root.Revoke(t.Context(), clientv3.LeaseID(gone)); err != nil {
		t.Fatal(err)
	}
	foreign := leave(t, admit(t, s, "b", Grants{Exports: []string{"file"}}), "y")
	for what, lease := range map[string]int64{"gone": gone, "another's": foreign} {
		o.Predecessor = lease
		c := dial(t, o)
		if err := c.Export(t.Context(), exports("file", "z")); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := c.Report(t.Context(), Report{Settled: true}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := s.root.KeepAliveOnce(t.Context(), clientv3.LeaseID(c.Lease())); err != nil {
			t.Errorf("%s: its own lease: %v", what, err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.root.KeepAliveOnce(t.Context(), clientv3.LeaseID(foreign)); errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Error("another's lease was revoked")
	}
}
