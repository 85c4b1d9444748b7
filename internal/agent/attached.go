package agent

import (
	"context"
	"sync"
	"time"

	"spore/engine"
	"spore/engine/manifest"
	"spore/etcd"
)

// storeFirst is how long an agent that begins waits for the store's graph. What it was handed may be
// older: an edit reaches the store first, and an agent that takes the place of another must not undo
// it, nor export again what is no more. Without the store it is the best there is.
const storeFirst = 5 * time.Second

// An attached agent takes its graphs from the store and reports to it.
type attached struct {
	Options
	runner   *engine.Runner
	failures *failures

	mu    sync.Mutex // held while a graph is made the running one
	begun bool       // there is one
}

// followGraph keeps the store's graph running, until ctx is done.
func (a *attached) followGraph(ctx context.Context) error {
	late := time.AfterFunc(storeFirst, a.begin)
	defer late.Stop()
	return wrap("follow graph", a.Client.FollowGraph(ctx, a.take))
}

// take hears the store's graph. An agent that can make nothing of it begins with its own.
func (a *attached) take(g etcd.Graph, revision int64) {
	if revision > 0 {
		err := a.swap(g, revision)
		if err == nil {
			return
		}
		a.Log.Error("graph refused; the last good one stays", "err", err)
	}
	a.begin()
}

// begin makes the graph that the agent was handed the running one, unless there is one.
func (a *attached) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun {
		return
	}
	a.begun = true
	if err := a.runner.Swap(a.Manifest.Program, 0); err != nil {
		a.Log.Error("graph refused", "err", err)
	}
}

// swap makes g the running graph. Its relative sources lie beside the file that the agent was handed:
// the initiator copies them before it writes the graph.
func (a *attached) swap(g etcd.Graph, revision int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	m, err := manifest.Parse(a.Manifest.File, []byte(g.Text), manifest.Options{Kinds: a.Kinds, Secrets: a.Secrets})
	if err != nil {
		return err
	}
	if err := a.runner.Swap(m.Program, revision); err != nil {
		return err
	}
	a.begun = true
	a.failures.retain(m.Program.Graph.Has)
	return nil
}
