package etcd

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// revisions returns the revision of each key under the prefix.
func revisions(t *testing.T, s *Server, prefix string) map[string]int64 {
	t.Helper()
	resp, err := s.root.Get(t.Context(), prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int64{}
	for _, kv := range resp.Kvs {
		found[string(kv.Key)] = kv.ModRevision
	}
	return found
}

// deletions counts the keys under prefix that were taken away since revision.
func deletions(t *testing.T, s *Server, prefix string, since int64) int {
	t.Helper()
	end, err := s.root.Put(t.Context(), prefix+"~end", "")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for resp := range s.root.Watch(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithRev(since)) {
		for _, e := range resp.Events {
			if e.Type == mvccpb.Event_DELETE {
				n++
			}
			if e.Kv.ModRevision == end.Header.Revision {
				return n
			}
		}
	}
	t.Fatal("the watch ended")
	return 0
}

func putGraph(t *testing.T, s *Store, host, name string) (revision int64) {
	t.Helper()
	revision, err := s.PutGraph(t.Context(), host, Graph{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func TestShortOutageIsNotNoticed(t *testing.T) {
	s := startServer(t)
	l := &link{server: s}
	o := admit(t, s, "a", Grants{Exports: []string{"file"}, Collects: []string{"file"}})
	o.Dialer = l.dial
	a := dial(t, o)
	found := collect(t, a, "file")
	if err := a.Export(t.Context(), exports("file", "x")); err != nil {
		t.Fatal(err)
	}
	if err := a.Report(t.Context(), Report{Settled: true}); err != nil {
		t.Fatal(err)
	}
	found.wait(t, "the export is seen", func(f []string) bool { return len(f) == 1 })
	before := revisions(t, s, prefix)
	waitLink(t, a, true)

	l.cut()
	waitLink(t, a, false)
	if _, err := s.root.Put(t.Context(), exportKey("file", "b", "y"), `{"spec":1}`); err != nil {
		t.Fatal(err)
	}
	l.heal()
	waitLink(t, a, true)
	found.wait(t, "what happened meanwhile is seen", func(f []string) bool {
		return slices.Equal(f, []string{`file/a/x="x"`, "file/b/y=1"})
	})
	after := revisions(t, s, prefix)
	delete(after, exportKey("file", "b", "y"))
	for key, revision := range before {
		if after[key] != revision {
			t.Errorf("%s was written again: revision %d, then %d", key, revision, after[key])
		}
	}
}

func TestLongOutageIsMadeGoodOf(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	l := &link{server: s}
	o := admit(t, s, "a", Grants{Exports: []string{"file"}})
	o.Dialer, o.TTL = l.dial, time.Second
	a := dial(t, o)
	b := dial(t, admit(t, s, "b", Grants{Collects: []string{"file"}}))
	found := collect(t, b, "file")
	store := openStore(t, s)
	fleet := follow(t, store)
	graph := putGraph(t, store, "a", "first")
	if err := a.Export(t.Context(), exports("file", "x", "y")); err != nil {
		t.Fatal(err)
	}
	if err := a.PutFacts(t.Context(), Facts{OS: "linux", Addresses: []string{"192.0.2.1"}}); err != nil {
		t.Fatal(err)
	}
	if err := a.Report(t.Context(), Report{Settled: true, Graph: graph, Failures: []string{"f"}}); err != nil {
		t.Fatal(err)
	}
	found.wait(t, "the exports are seen", func(f []string) bool { return len(f) == 2 })
	fleet.wait(t, "the report is seen", func(f Fleet) bool { return f.Hosts["a"].Report.Graph == graph })

	l.cut()
	found.wait(t, "the exports vanish", func(f []string) bool { return len(f) == 0 })
	fleet.wait(t, "the host vanishes", func(f Fleet) bool { return !f.Hosts["a"].HasReport })
	l.heal()
	found.wait(t, "the exports are back", func(f []string) bool {
		return slices.Equal(f, []string{`file/a/x="x"`, `file/a/y="y"`})
	})
	fleet.wait(t, "report and facts are back", func(f Fleet) bool {
		h := f.Hosts["a"]
		return h.Report.Graph == graph && slices.Equal(h.Report.Failures, []string{"f"}) && h.Facts.OS == "linux"
	})
}

// A host that was cut off may have to export something else by now. Until it runs the graph that says
// so, what it exported before does not come back.
func TestLongOutageBringsNothingBackThatIsNoMore(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	l := &link{server: s}
	o := admit(t, s, "a", Grants{Exports: []string{"file"}})
	o.Dialer, o.TTL = l.dial, time.Second
	a := dial(t, o)
	found := collect(t, dial(t, admit(t, s, "b", Grants{Collects: []string{"file"}})), "file")
	store := openStore(t, s)
	fleet := follow(t, store)
	first := putGraph(t, store, "a", "first")
	if err := a.Export(t.Context(), exports("file", "x", "y")); err != nil {
		t.Fatal(err)
	}
	if err := a.Report(t.Context(), Report{Settled: true, Graph: first}); err != nil {
		t.Fatal(err)
	}
	found.wait(t, "the exports are seen", func(f []string) bool { return len(f) == 2 })

	l.cut()
	found.wait(t, "the exports vanish", func(f []string) bool { return len(f) == 0 })
	second := putGraph(t, store, "a", "second")
	l.heal()
	fleet.wait(t, "the host is back", func(f Fleet) bool { return f.Hosts["a"].HasReport })
	if err := a.Export(t.Context(), exports("file", "y")); err != nil {
		t.Fatal(err)
	}
	if err := a.Report(t.Context(), Report{Settled: true, Graph: second}); err != nil {
		t.Fatal(err)
	}
	found.wait(t, "what it exports now is seen", func(f []string) bool { return slices.Equal(f, []string{`file/a/y="y"`}) })
	if n := deletions(t, s, exportKey("file", "a", "x"), second); n > 0 {
		t.Error("what it exports no more was back for a while")
	}
}

// A try that was given up for lost comes to nothing when it arrives late.
func TestLateWriteComesToNothing(t *testing.T) {
	s := startServer(t)
	a := dial(t, admit(t, s, "a", Grants{Exports: []string{"file"}, Keys: []string{"k"}}))
	found := collect(t, dial(t, admit(t, s, "b", Grants{Collects: []string{"file"}})), "file")
	if err := a.Export(t.Context(), exports("file", "x")); err != nil {
		t.Fatal(err)
	}
	key := exportKey("file", "a", "x")
	late := clientv3.Compare(clientv3.ModRevision(fenceKey("a")), "=", a.session.fence) // as a try that waits somewhere would
	if err := a.Export(t.Context(), exports("file", "y")); err != nil {
		t.Fatal(err)
	}
	done, err := a.etcd.Txn(t.Context()).If(late).Then(clientv3.OpPut(key, `{"spec":"x"}`)).Commit()
	if err != nil || done.Succeeded {
		t.Errorf("it was carried out: %v", err)
	}
	found.wait(t, "the last export stands alone", func(f []string) bool { return slices.Equal(f, []string{`file/a/y="y"`}) })

	// Somebody else has written for this host: another agent, or a try of its own. It goes on.
	if _, err := s.root.Put(t.Context(), fenceKey("a"), "another"); err != nil {
		t.Fatal(err)
	}
	value := "v"
	if err := a.Put(t.Context(), "k", &value); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := a.Get(t.Context(), "k"); err != nil || !ok || got != value {
		t.Errorf("the value is %q, %v, %v", got, ok, err)
	}
}

// A lease that somebody ended is replaced, also when the next write finds it out first.
func TestLostLeaseIsReplaced(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	a := dial(t, admit(t, s, "a", Grants{Exports: []string{"file"}, Collects: []string{"file"}}))
	found := collect(t, a, "file")
	for _, names := range [][]string{{"x", "y"}, {"x", "z"}, {"x"}} {
		if err := a.Export(t.Context(), exports("file", names...)); err != nil {
			t.Fatal(err)
		}
		found.wait(t, "the exports are seen", func(f []string) bool { return len(f) == len(names) })
		if err := a.session.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		lease := a.session.lease
		a.session.release()
		if _, err := s.root.Revoke(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Export(t.Context(), exports("file", "end")); err != nil {
		t.Fatal(err)
	}
	found.wait(t, "the last is seen", func(f []string) bool { return slices.Equal(f, []string{`file/a/end="end"`}) })
}

// What could not be written is written as soon as it can be, without being asked for again.
func TestWritesOfAnOutageAreMadeAfterIt(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	l := &link{server: s, down: true}
	o := admit(t, s, "a", Grants{Exports: []string{"file"}, Collects: []string{"file"}})
	o.Dialer = l.dial
	a := dial(t, o)
	found := collect(t, a, "file")
	ctx, cancel := context.WithTimeout(t.Context(), 2*retryPause)
	defer cancel()
	if err := a.Export(ctx, exports("file", "x")); err == nil {
		t.Error("an export was acknowledged by nobody")
	}
	if a.Connected() {
		t.Error("connected to nothing")
	}
	l.heal()
	found.wait(t, "the export is seen", func(f []string) bool { return len(f) == 1 })
	waitLink(t, a, true)
	if !a.Connected() {
		t.Error("the link is up, but not connected")
	}
}

func TestSameExportsAreNotWrittenAgain(t *testing.T) {
	s := startServer(t)
	a := dial(t, admit(t, s, "a", Grants{Exports: []string{"file"}}))
	if err := a.Export(t.Context(), exports("file", "x", "y")); err != nil {
		t.Fatal(err)
	}
	before := revisions(t, s, exportsPrefix)
	if err := a.Export(t.Context(), exports("file", "y", "x", "z")); err != nil {
		t.Fatal(err)
	}
	after := revisions(t, s, exportsPrefix)
	for key, revision := range before {
		if after[key] != revision {
			t.Errorf("%s was written again", key)
		}
	}
	if n := deletions(t, s, exportsPrefix, before[exportKey("file", "a", "x")]); n != 0 {
		t.Errorf("%d exports were withdrawn for a moment", n)
	}
}

func waitLink(t *testing.T, c *Client, up bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case got := <-c.Link():
			if got == up {
				return
			}
		case <-deadline:
			t.Fatalf("waited in vain until the link is up: %v", up)
		}
	}
}
