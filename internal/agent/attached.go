package agent

import (
	"cmp"
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"spore/engine"
	"spore/engine/manifest"
	"spore/etcd"
)

// storeFirst is how long an agent that begins waits for the store's graph. What it was handed may be
// older: an edit reaches the store first, and an agent that takes the place of another must not undo
// it. Without the store it is the best there is, but for what it exports: that may be no more, and
// waits until the store has told.
const storeFirst = 5 * time.Second

// An attached agent takes its graphs from the store and reports to it.
type attached struct {
	Options
	runner   *engine.Runner
	failures *failures
	repairs  *atomic.Int64
	offers   chan offer // to be prepared; see prepare.go

	mu        sync.Mutex // held while a graph is made the running one
	begun     bool       // there is one
	exporting bool       // with what it exports
	told      bool       // the store has told that it has a graph
}

func newAttached(o Options, r *engine.Runner, f *failures, repairs *atomic.Int64) *attached {
	return &attached{Options: o, runner: r, failures: f, repairs: repairs, offers: make(chan offer, 1)}
}

// followGraph keeps the store's graph running, until ctx is done.
func (a *attached) followGraph(ctx context.Context) error {
	late := time.AfterFunc(cmp.Or(a.StoreFirst, storeFirst), a.beginLate)
	defer late.Stop()
	if a.Prepare == nil {
		return wrap("follow graph", a.Client.FollowGraph(ctx, a.take))
	}
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return a.Client.FollowGraph(ctx, a.offer) })
	tasks.Go(func() error { a.prepareOffers(ctx); return nil })
	return wrap("follow graph", tasks.Wait())
}

// take hears the store's graph. An agent that can make nothing of it begins with its own.
func (a *attached) take(g etcd.Graph, revision int64) {
	if revision > 0 {
		err := a.swap(g, revision, a.Manifest.File, a.Secrets)
		if err == nil {
			return
		}
		a.refuse(err)
	}
	a.begin(true)
}

func (a *attached) refuse(err error) {
	a.Log.Error("graph refused; the last good one stays", "err", err)
}

// beginLate begins without the store.
func (a *attached) beginLate() {
	a.mu.Lock()
	told := a.told
	a.mu.Unlock()
	if !told {
		a.begin(false)
	}
}

// begin makes the graph that the agent was handed the running one, unless there is one.
func (a *attached) begin(exporting bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun && (a.exporting || !exporting) {
		return
	}
	a.begun, a.exporting = true, exporting
	program := a.Manifest.Program
	if !exporting {
		silent := *program
		silent.Exports = nil
		program = &silent
	}
	if err := a.runner.Swap(program, 0); err != nil {
		a.Log.Error("graph refused", "err", err)
	}
}

// swap makes g the running graph. Its relative sources lie beside file. Where that is the file that
// the agent was handed, the initiator copies them before it writes the graph.
func (a *attached) swap(g etcd.Graph, revision int64, file string, secrets Secrets) error {
	m, err := manifest.Parse(file, []byte(g.Text), manifest.Options{Kinds: a.Kinds, Secrets: secrets})
	if err == nil {
		err = a.run(m.Program, revision)
	}
	if err == nil && a.Applied != nil {
		a.Applied(g, revision)
	}
	return err
}

func (a *attached) run(p *engine.Program, revision int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.runner.Swap(p, revision); err != nil {
		return err
	}
	a.begun, a.exporting = true, true
	a.failures.retain(p.Graph.Has)
	return nil
}

// whole says whether the running graph exports what it is to.
func (a *attached) whole() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.exporting
}

// GraphFile names the file that a graph with its sources in dir would be read from.
func GraphFile(dir string, g etcd.Graph) string {
	return filepath.Join(dir, filepath.Base(cmp.Or(g.Name, "graph"))+".yaml")
}
