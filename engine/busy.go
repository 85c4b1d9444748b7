package engine

import "sync/atomic"

// busy counts what is left to do: one for each node that may differ from its spec, each program
// that waits to be swapped in, each export that is not acknowledged. At zero the runner is settled.
// Whoever learns of work adds before returning to whoever told it, so that work is never in flight
// uncounted: the convergence rule stands on this.
type busy struct {
	n      atomic.Int64
	signal chan struct{} // capacity 1: the runner became settled or unsettled, or its counts moved
}

func newBusy() *busy { return &busy{signal: make(chan struct{}, 1)} }

func (b *busy) add(n int64) {
	if after := b.n.Add(n); after == 0 || after == n {
		b.poke()
	}
}

func (b *busy) settled() bool { return b.n.Load() == 0 }

func (b *busy) poke() {
	select {
	case b.signal <- struct{}{}:
	default:
	}
}
