package engine

import (
	"context"
	"log/slog"

	"golang.org/x/time/rate"
)

// A resource without a limit of its own still has this one, which only one that never comes to rest
// meets, such as one of two that undo each other's work.
const (
	restless      = 20 // runs a second
	restlessBurst = 100
)

// A worker keeps one node: it watches, asks the loop for its turn, checks and applies. Retry, rate,
// time-outs and the recovery from panics are here and nowhere else.
type worker struct {
	*marks
	runner *Runner
	shared *shared
	node   Node
	kind   Kind
	log    *slog.Logger
	grant  chan bool     // whether to refresh; capacity 1, the loop never waits for a worker
	ended  chan struct{} // closed when run has returned
	limit  *rate.Limiter
	ctx    context.Context
	cancel context.CancelFunc
}

func newWorker(ctx context.Context, r *Runner, s *shared, n Node) *worker {
	w := &worker{
		marks:  &marks{busy: r.busy, dirty: make(chan struct{}, 1)},
		runner: r, shared: s, node: n, kind: r.cfg.Kinds[n.ID.Kind],
		log:   r.cfg.Log.With("resource", n.ID.String()),
		grant: make(chan bool, 1), ended: make(chan struct{}),
		limit: rate.NewLimiter(restless, restlessBurst),
	}
	if n.Meta.Limit > 0 {
		w.limit = rate.NewLimiter(rate.Limit(n.Meta.Limit), max(1, n.Meta.Burst))
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w
}

// run works until the worker is cancelled.
func (w *worker) run() {
	defer close(w.ended)
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
	for {
		refresh, ok := w.turn()
		if !ok {
			return
		}
		o := a.run(w.ctx, refresh)
		if w.ctx.Err() != nil && !o.applied {
			return // but what was changed must be told
		}
		w.judge(o.state == Failed)
		select {
		case w.runner.done <- o:
		case <-w.shared.deaf:
			return
		}
	}
}

// turn waits until there is something to do and the loop grants it.
func (w *worker) turn() (refresh, ok bool) {
	for !w.asks() {
		select {
		case <-w.dirty:
		case <-w.ctx.Done():
			return false, false
		}
	}
	select {
	case w.runner.wants <- w:
	case <-w.ctx.Done():
		return false, false
	}
	select {
	case refresh = <-w.grant:
		return refresh, true
	case <-w.ctx.Done():
		return false, false
	}
}
