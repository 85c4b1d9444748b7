package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
)

// Config is what a [Runner] works with.
type Config struct {
	Kinds   Kinds
	Host    string // this host's name in the exchange
	World   World
	Dir     string // private directory, under which each resource has its own
	Noop    bool   // only report what would change; nothing is exported
	Log     *slog.Logger
	Observe func(Event) // called with one event after the other; must not block
}

// A Runner keeps the resources of one host's program as declared. One goroutine, Run's, owns the
// running graph; the workers, one for each node, and the world talk to it by messages.
type Runner struct {
	cfg      Config
	busy     *busy
	swaps    *mailbox[swap]
	exports  *mailbox[[]Export]
	gathered *mailbox[gathering]
	wants    chan *worker
	done     chan outcome
	snapshot atomic.Pointer[snapshot]
}

type swap struct {
	program  *Program
	revision int64
}

// snapshot is what Status reads: written by the loop alone.
type snapshot struct {
	revision int64
	counts   Counts
}

// NewRunner returns a runner that has nothing to do yet.
func NewRunner(cfg Config) *Runner {
	b := newBusy()
	r := &Runner{
		cfg:      cfg,
		busy:     b,
		swaps:    newMailbox[swap](b),
		exports:  newMailbox[[]Export](b),
		gathered: newMailbox[gathering](b),
		wants:    make(chan *worker),
		done:     make(chan outcome),
	}
	r.snapshot.Store(&snapshot{})
	return r
}

// Swap makes p the running program. Resources that p declares as the one before did go on
// undisturbed: neither stopped nor checked again. revision is handed back by Status. Swap returns
// at once; from then on Status is not settled until p is. It fails, changing nothing, if p is not
// runnable.
func (r *Runner) Swap(p *Program, revision int64) error {
	if _, err := p.Graph.Sort(); err != nil {
		return fmt.Errorf("swap graph: %w", err)
	}
	for _, id := range p.Graph.Keys() {
		if _, ok := r.cfg.Kinds[id.Kind]; !ok {
			return fmt.Errorf("swap graph: %s: no such kind", id)
		}
	}
	r.swaps.put(swap{p, revision})
	return nil
}

// Status tells how the host stands, as of one moment. A caller that also asks the world how far it has got asks that
// first: what the world had handed over by then is accounted for in Status.
func (r *Runner) Status() Status {
	for {
		s, settled := r.snapshot.Load(), r.busy.settled()
		if r.snapshot.Load() == s { // so it was in force when settled was looked up
			return Status{Settled: settled, Revision: s.revision, Counts: s.counts}
		}
	}
}

// noop reports whether n is only to be reported on.
func (r *Runner) noop(n Node) bool { return r.cfg.Noop || n.Meta.Noop }

// Moved receives when Status may have changed. It has one reader.
func (r *Runner) Moved() <-chan struct{} { return r.busy.signal }

// Run works until ctx is done, then stops what is in flight and returns. It is called once. Work that
// it had to leave undone keeps Status from being settled.
func (r *Runner) Run(ctx context.Context) {
	l := newLoop(ctx, r)
	defer l.end()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.swaps.ready:
			if s, ok := r.swaps.take(); ok {
				l.swap(s)
				r.swaps.finish()
			}
		case <-r.gathered.ready:
			if g, ok := r.gathered.take(); ok {
				l.gather(g)
				r.gathered.finish()
			}
		case w := <-r.wants:
			l.want(w)
		case o := <-r.done:
			l.finish(o)
		}
	}
}
