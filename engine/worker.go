package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	stopBound = 5 * time.Second // for a resource to stop, before it is left behind
	patience  = 4               // failures in a row after which events no longer unsettle the host
	minMute   = 100 * time.Millisecond
	maxMute   = time.Minute
)

// A worker keeps one node: it watches, asks the loop for its turn, checks and applies. Retry, rate,
// time-outs and the recovery from panics are here and nowhere else.
type worker struct {
	runner  *Runner
	shared  *shared
	node    Node
	kind    Kind
	log     *slog.Logger
	grant   chan struct{} // capacity 1, the loop never waits for a worker
	dirty   chan struct{} // capacity 1
	ended   chan struct{} // closed when run has returned
	refresh atomic.Bool   // a notify edge fired
	limit   *rate.Limiter
	cancel  context.CancelFunc
	ctx     context.Context

	mu      sync.Mutex
	pending bool // a check is asked for, and counted by busy
	roused  bool // by something that gives a resource that fails another chance
	muted   bool // it failed a moment ago: events do not start it
	missed  bool // there were some
	strikes int  // failures in a row
	stopped bool
}

func newWorker(r *Runner, s *shared, n Node) *worker {
	w := &worker{
		runner: r, shared: s, node: n, kind: r.cfg.Kinds[n.ID.Kind],
		log:   r.cfg.Log.With("resource", n.ID.String()),
		grant: make(chan struct{}, 1), dirty: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	if n.Meta.Limit > 0 {
		w.limit = rate.NewLimiter(rate.Limit(n.Meta.Limit), max(1, n.Meta.Burst))
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// mark says that the resource may have left its declared state. It never blocks.
func (w *worker) mark() { w.set(false) }

// rouse is mark for a reason that also gives a resource that just failed another chance.
func (w *worker) rouse() { w.set(true) }

func (w *worker) set(rouse bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	if rouse {
		w.roused, w.muted = true, false
	}
	if w.muted {
		w.missed = true
		if w.strikes > patience {
			return
		}
	}
	w.ask()
}

// ask counts a check as pending and, unless muted, wakes the worker for it. It holds w.mu.
func (w *worker) ask() {
	if !w.pending {
		w.pending = true
		w.runner.busy.add(1)
	}
	if w.muted {
		return
	}
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

// marked reports whether a check is asked for and not yet begun.
func (w *worker) marked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pending
}

// take begins to deal with a mark, if there is one: from here on its count is the caller's.
func (w *worker) take() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.pending || w.muted {
		return false
	}
	w.pending, w.roused = false, false
	return true
}

// run works until ctx or the worker is cancelled.
func (w *worker) run(ctx context.Context) {
	defer close(w.ended)
	defer w.end()
	stop := context.AfterFunc(ctx, w.cancel)
	defer stop()
	a := w.open()
	defer a.close()
	ready, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		a.watch(w.ctx, ready)
	}()
	defer func() { <-gone }()
	defer w.cancel()
	select {
	case <-ready:
	case <-w.ctx.Done():
		return
	}
	for w.turn() {
		o := a.run(w.ctx)
		if w.ctx.Err() != nil {
			w.runner.busy.add(-1)
			return
		}
		w.judge(o.state == Failed)
		select {
		case w.runner.done <- o:
		case <-w.ctx.Done():
			w.runner.busy.add(-1)
			return
		}
	}
}

// turn waits until there is something to do and the loop grants it.
func (w *worker) turn() bool {
	for {
		select {
		case <-w.dirty:
		case <-w.ctx.Done():
			return false
		}
		if w.take() {
			break
		}
	}
	select {
	case w.runner.wants <- w:
	case <-w.ctx.Done():
		w.runner.busy.add(-1)
		return false
	}
	select {
	case <-w.grant:
		return true
	case <-w.ctx.Done():
		select {
		case <-w.grant: // granted all the same: the count is ours
			w.runner.busy.add(-1)
		default: // the loop takes the count back
		}
		return false
	}
}

// end gives back what is still counted, and lets no more be.
func (w *worker) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.pending {
		w.pending = false
		w.runner.busy.add(-1)
	}
}

// judge keeps a resource that failed from being run again and again by events of its own making:
// for a while, longer each time, they are remembered instead. The first few failures in a row leave
// the host unsettled while there is something remembered: what was amiss may be on its way.
func (w *worker) judge(failed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !failed {
		w.strikes = 0
		return
	}
	w.strikes++
	if w.roused {
		return
	}
	w.muted, w.missed = true, w.pending
	if w.pending && w.strikes > patience {
		w.pending = false
		w.runner.busy.add(-1)
	}
	time.AfterFunc(min(minMute<<min(w.strikes-1, 16), maxMute), w.unmute)
}

func (w *worker) unmute() {
	w.mu.Lock()
	defer w.mu.Unlock()
	missed := w.missed
	w.muted, w.missed = false, false
	if missed && !w.stopped {
		w.ask()
	}
}
