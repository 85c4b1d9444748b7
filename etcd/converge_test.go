package etcd

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

func TestConverged(t *testing.T) {
	settled := func(graph, processed int64) HostState {
		return HostState{Graph: 5, HasReport: true, Report: Report{Settled: true, Graph: graph, Processed: processed}}
	}
	unsettled := settled(5, 9)
	unsettled.Report.Settled = false
	silent := settled(5, 9)
	silent.HasReport = false
	for _, test := range []struct {
		what string
		b    HostState
		want bool
	}{
		{"all is well", settled(5, 9), true},
		{"it has seen more", settled(5, 10), true},
		{"it has not seen the last write", settled(5, 8), false},
		{"it runs an older graph", settled(4, 9), false},
		{"it is not settled", unsettled, false},
		{"it does not report", silent, false},
	} {
		f := Fleet{Hosts: map[string]HostState{"a": settled(5, 9), "b": test.b}, LastData: 9, Seen: 12}
		if got := f.Converged([]string{"a", "b"}); got != test.want {
			t.Errorf("%s: got %v, want %v", test.what, got, test.want)
		}
		if !f.Converged([]string{"a"}) {
			t.Errorf("%s: it counts for others", test.what)
		}
		if f.Converged([]string{"a", "absent"}) {
			t.Error("converged without a host that is expected")
		}
	}
}

// A host that has yet to see what its neighbour exports is not done, however quiet all is.
func TestDelayedWatchHoldsConvergenceBack(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	var gate sync.Mutex // closed: nothing that b watches arrives
	ob := admit(t, s, "b", Grants{Collects: []string{"file"}})
	ob.hold = func() { gate.Lock(); defer gate.Unlock() }
	a := startAgent(t, admit(t, s, "a", Grants{Exports: []string{"file"}}))
	b := startAgent(t, ob, "file")
	hosts := []string{"a", "b"}

	fleet := newLatest[Fleet]()
	early := atomic.Bool{}
	exporting := atomic.Bool{}
	background(t, func(ctx context.Context) error {
		return store.Follow(ctx, func(f Fleet) {
			if exporting.Load() && f.Converged(hosts) && b.found.Load() == 0 {
				early.Store(true)
			}
			fleet.set(f)
		})
	})
	for _, host := range hosts {
		if _, err := store.PutGraph(t.Context(), host, Graph{Name: host}); err != nil {
			t.Fatal(err)
		}
	}
	converged := func(f Fleet) bool { return f.Converged(hosts) }
	before := fleet.wait(t, "the fleet converges", converged)

	gate.Lock()
	exporting.Store(true)
	if err := a.Export(t.Context(), exports("file", "x")); err != nil {
		gate.Unlock()
		t.Fatal(err)
	}
	// All are settled on their latest graph, and a, having been asked, says that it has seen it all.
	f := fleet.wait(t, "a has caught up", func(f Fleet) bool {
		return f.LastData > before.LastData && f.Hosts["a"].Report.Processed >= f.LastData
	})
	for _, host := range hosts {
		if !f.Hosts[host].settled() {
			t.Errorf("%s is not settled, so this test shows nothing", host)
		}
	}
	if f.Converged(hosts) {
		t.Error("converged while b has not seen what a exports")
	}
	gate.Unlock()
	fleet.wait(t, "the fleet converges again", func(f Fleet) bool { return f.LastData > before.LastData && converged(f) })
	if early.Load() {
		t.Error("there was a moment at which the run would have ended early")
	}
	if b.found.Load() != 1 {
		t.Error("b has not seen what a exports")
	}
}

// Asking the fleet to catch up with a write that nobody watches costs one write and a report each.
func TestCatchingUpCostsOneWriteAndNReports(t *testing.T) {
	t.Parallel()
	const n = 20
	s := startServer(t)
	store := openStore(t, s)
	fleet := follow(t, store)
	var hosts []string
	for i := range n {
		host := fmt.Sprint("host", i)
		hosts = append(hosts, host)
		startAgent(t, admit(t, s, host, Grants{Collects: []string{"file"}}), "file")
		if _, err := store.PutGraph(t.Context(), host, Graph{Name: host}); err != nil {
			t.Fatal(err)
		}
	}
	answered := func() { // no answer to an earlier question is on its way still
		t.Helper()
		fleet.wait(t, "the fleet converges", func(f Fleet) bool { return f.Converged(hosts) })
		asked := revisions(t, s, syncKey)[syncKey]
		fleet.wait(t, "all have answered", func(f Fleet) bool { return f.lag().answered >= asked })
	}
	answered()

	for _, write := range []func() (int64, error){
		func() (int64, error) {
			r, err := s.root.Put(t.Context(), valueKey("k"), "")
			return r.Header.Revision, err
		},
		func() (int64, error) { // taking away is a data write too
			r, err := s.root.Delete(t.Context(), valueKey("k"))
			return r.Header.Revision, err
		},
	} {
		revision, err := write()
		if err != nil {
			t.Fatal(err)
		}
		fleet.wait(t, "the fleet converges again", func(f Fleet) bool {
			return f.LastData >= revision && f.Converged(hosts)
		})
		answered()
		events := history(t, s, revision)
		if asked := count(events, func(key string) bool { return key == syncKey }); asked != 1 {
			t.Errorf("the operator asked %d times, want once", asked)
		}
		if reports := count(events, isReport); reports > n {
			t.Errorf("%d reports were written by %d hosts", reports, n)
		}
	}
}

// When all hosts export and collect, each sees N changes, and still writes few reports.
func TestExchangeCostsFewReports(t *testing.T) {
	const n = 12
	s := startServer(t)
	store := openStore(t, s)
	fleet := follow(t, store)
	var hosts []string
	var agents []*agent
	for i := range n {
		host := fmt.Sprint("host", i)
		hosts = append(hosts, host)
		o := admit(t, s, host, Grants{Exports: []string{"file"}, Collects: []string{"file"}})
		agents = append(agents, startAgent(t, o, "file"))
		if _, err := store.PutGraph(t.Context(), host, Graph{Name: host}); err != nil {
			t.Fatal(err)
		}
	}
	before := fleet.wait(t, "the fleet converges", func(f Fleet) bool { return f.Converged(hosts) })
	var exporting sync.WaitGroup
	for _, a := range agents {
		exporting.Go(func() {
			if err := a.Export(t.Context(), exports("file", "x", "y")); err != nil {
				t.Error(err)
			}
		})
	}
	exporting.Wait()
	fleet.wait(t, "the fleet converges again", func(f Fleet) bool {
		return f.LastData >= before.LastData+n && f.Converged(hosts)
	})
	for i, a := range agents {
		if a.found.Load() != 2*n {
			t.Errorf("%s has found %d exports, want %d", hosts[i], a.found.Load(), 2*n)
		}
	}
	events := history(t, s, before.Seen+1)
	asked, reports := count(events, func(key string) bool { return key == syncKey }), count(events, isReport)
	// Those of the question before may still have been on their way.
	if reports > (asked+1)*n {
		t.Errorf("%d reports of %d hosts were written for %d questions", reports, n, asked)
	}
}

// Progress alone is not news until the operator asks for it.
func TestReportsAreWrittenOnChangeOnly(t *testing.T) {
	s := startServer(t)
	a := startAgent(t, admit(t, s, "a", Grants{Collects: []string{"file"}}), "file")
	for i := range 50 {
		if _, err := s.root.Put(t.Context(), exportKey("file", "b", fmt.Sprint(i)), `{}`); err != nil {
			t.Fatal(err)
		}
	}
	catchUp := func() int64 {
		r, err := s.root.Put(t.Context(), syncKey, "")
		if err != nil {
			t.Fatal(err)
		}
		return r.Header.Revision
	}
	fleet := follow(t, openStore(t, s))
	asked := catchUp()
	fleet.wait(t, "a answers", func(f Fleet) bool { return f.Hosts["a"].Report.Processed >= asked })
	if a.found.Load() != 50 {
		t.Errorf("a answered having found %d exports, want 50", a.found.Load())
	}
	if reports := count(history(t, s, 1), isReport); reports > 3 { // at first, and for each question
		t.Errorf("%d reports were written", reports)
	}
}

// A host that never comes does not keep the others from catching up.
func TestSilentHostDoesNotHoldOthersBack(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	fleet := follow(t, store)
	startAgent(t, admit(t, s, "a", Grants{}))
	for _, host := range []string{"a", "dead"} {
		if _, err := store.PutGraph(t.Context(), host, Graph{Name: host}); err != nil {
			t.Fatal(err)
		}
	}
	f := fleet.wait(t, "a converges", func(f Fleet) bool { return f.Converged([]string{"a"}) && f.Hosts["dead"].Graph > 0 })
	if f.Converged([]string{"a", "dead"}) {
		t.Error("converged without a host that is expected")
	}
}

func TestLiveEditIsNotConvergedUntilItRuns(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	a := startAgent(t, admit(t, s, "a", Grants{}))
	fleet := newLatest[Fleet]()
	background(t, func(ctx context.Context) error {
		return store.Follow(ctx, func(f Fleet) {
			if f.Converged([]string{"a"}) && a.graph.Load() < f.Hosts["a"].Graph {
				t.Error("converged on an older graph")
			}
			fleet.set(f)
		})
	})
	for i := range 20 {
		revision, err := store.PutGraph(t.Context(), "a", Graph{Name: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		fleet.wait(t, "the edit has converged", func(f Fleet) bool {
			return f.Hosts["a"].Graph == revision && f.Converged([]string{"a"})
		})
	}
}

// Of a deletion nothing is left for an operator to see who comes after it.
func TestConvergedAfterAnUnseenDeletion(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	var gate sync.Mutex
	o := admit(t, s, "a", Grants{Collects: []string{"file"}})
	o.hold = func() { gate.Lock(); defer gate.Unlock() }
	if _, err := s.root.Put(t.Context(), exportKey("file", "b", "x"), `{}`); err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutGraph(t.Context(), "a", Graph{}); err != nil {
		t.Fatal(err)
	}
	a := startAgent(t, o, "file")
	converged := func(f Fleet) bool { return f.Converged([]string{"a"}) }
	follow(t, store).wait(t, "a converges", converged)

	gate.Lock()
	if _, err := s.root.Delete(t.Context(), exportKey("file", "b", "x")); err != nil {
		gate.Unlock()
		t.Fatal(err)
	}
	fleet := newLatest[Fleet]()
	background(t, func(ctx context.Context) error {
		return store.Follow(ctx, func(f Fleet) {
			if converged(f) && a.found.Load() != 0 {
				t.Error("converged, though a has not seen what was taken away")
			}
			fleet.set(f)
		})
	})
	fleet.wait(t, "the operator sees the host", func(f Fleet) bool { return f.Hosts["a"].settled() })
	gate.Unlock()
	fleet.wait(t, "a converges again", converged)
}

func TestWhichReportsAreWritten(t *testing.T) {
	c := &Client{stream: newStream(nil, nil, nil, nil)}
	last := Report{Settled: true, Graph: 5, Processed: 9, Failures: []string{"f"}}
	changed := func(change func(*Report)) Report { r := last; change(&r); return r }
	for _, test := range []struct {
		what  string
		asked int64
		r     Report
		want  bool
	}{
		{"nothing is new", 9, last, false},
		{"it has seen more, of which nobody asked", 9, changed(func(r *Report) { r.Processed = 12 }), false},
		{"it has seen more, but not yet what was asked", 13, changed(func(r *Report) { r.Processed = 12 }), false},
		{"it has seen what was asked", 12, changed(func(r *Report) { r.Processed = 12 }), true},
		{"it begins a new watch", 9, changed(func(r *Report) { r.Processed = 0 }), false},
		{"it is unsettled", 9, changed(func(r *Report) { r.Settled = false }), true},
		{"it runs another graph", 9, changed(func(r *Report) { r.Graph = 6 }), true},
		{"something else failed", 9, changed(func(r *Report) { r.Failures = []string{"g"} }), true},
		{"something changed", 9, changed(func(r *Report) { r.Counts.Changed++ }), true},
	} {
		c.stream.asked.Store(test.asked)
		if got := c.worthWriting(last, test.r); got != test.want {
			t.Errorf("%s: got %v, want %v", test.what, got, test.want)
		}
	}
}
