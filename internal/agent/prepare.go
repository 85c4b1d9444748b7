package agent

import (
	"context"
	"time"

	"spore/etcd"
)

// Secrets returns what a reference in a graph file that lies in dir stands for.
type Secrets = func(dir, reference string) (string, error)

// An offer is a graph that the store has; its revision is 0 if it has none.
type offer struct {
	graph    etcd.Graph
	revision int64
}

// offer hears the store's graph. It does not wait until that is prepared.
func (a *attached) offer(g etcd.Graph, revision int64) {
	a.mu.Lock()
	a.told = a.told || revision > 0
	a.mu.Unlock()
	select { // only the latest counts
	case <-a.offers:
	default:
	}
	a.offers <- offer{g, revision}
}

// How long to wait before a graph is prepared again.
const (
	minPrepare = time.Second
	maxPrepare = 30 * time.Second
)

// prepareOffers makes each graph that the store offers the running one, once it is prepared.
func (a *attached) prepareOffers(ctx context.Context) {
	var o offer
	var again <-chan time.Time
	pause := minPrepare
	for {
		select {
		case <-ctx.Done():
			return
		case o = <-a.offers:
			pause = minPrepare
		case <-again:
			pause = min(2*pause, maxPrepare)
		}
		again = nil
		err := a.adopt(ctx, o)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if pause == minPrepare {
			a.Log.Error("what the graph needs is not to be had, will try again", "err", err)
		}
		a.begin(false)
		again = time.After(pause)
	}
}

// adopt makes what is offered the running graph. The error is that of its preparation.
func (a *attached) adopt(ctx context.Context, o offer) error {
	if o.revision == 0 {
		a.begin(true)
		return nil
	}
	dir, secrets, err := a.Prepare(ctx, o.graph)
	if err != nil {
		return err
	}
	if err := a.swap(o.graph, o.revision, GraphFile(dir, o.graph), secrets); err != nil {
		a.refuse(err)
		a.begin(true)
	}
	return nil
}
