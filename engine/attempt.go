package engine

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// minDelay is the wait before a retry where the node sets none.
const minDelay = 100 * time.Millisecond

// An attempt is an opened resource and what it takes to run it.
type attempt struct {
	worker    *worker
	resource  Resource
	refresher Refresher // nil if it is none
	openErr   error
	watchErr  atomic.Pointer[error] // why the watch does not work; nil while it does
	begun     []Change              // by an apply that failed: they may have been made all the same
}

// An outcome is how a run ended.
type outcome struct {
	worker    *worker
	state     State
	changes   []Change
	applied   bool // the changes were made
	refreshed bool
	err       error
	took      time.Duration
}

// open makes the resource. If that fails, each run of the attempt does.
func (w *worker) open() *attempt {
	a := &attempt{worker: w}
	a.openErr = guard(w.log, func() (err error) {
		a.resource, err = w.kind.Open(w.node.ID.Name, w.node.Spec, Env{
			Host: w.runner.cfg.Host, Log: w.log, World: w.runner.cfg.World, Dir: w.dir(),
		})
		return err
	})
	a.openErr = wrap("open", a.openErr)
	a.refresher, _ = a.resource.(Refresher)
	return a
}

// dir is the resource's private directory: the same for the same resource, whatever its name holds,
// and no other resource's, whatever hosts may choose to call what they export.
func (w *worker) dir() string {
	id := w.node.ID
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", id.Kind, id.Name, id.From))
	return filepath.Join(w.runner.cfg.Dir, "resources", fmt.Sprintf("%s-%x", id.Kind, sum[:16]))
}

func (a *attempt) close() {
	if c, ok := a.resource.(Closer); ok {
		if err := guard(a.worker.log, c.Close); err != nil {
			a.worker.log.Warn("close resource", "err", err)
		}
	}
}

// watch keeps the resource watched, or polled, until ctx is done. It closes ready when the first
// check may be made, since nothing that happens from then on is missed.
func (a *attempt) watch(ctx context.Context, ready chan struct{}) {
	w := a.worker
	if poll := time.Duration(w.node.Meta.Poll); a.openErr != nil || poll > 0 {
		close(ready)
		if a.openErr == nil {
			tick(ctx, poll, w.mark)
		}
		return
	}
	// A mark comes before ready, so that the first check is the one for the first call of changed.
	first := sync.OnceFunc(func() { close(ready) })
	changed := func() {
		a.watchErr.Store(nil)
		w.mark()
		first()
	}
	watch := func() error {
		return guard(w.log, func() error { return a.resource.Watch(ctx, changed) })
	}
	keepUp(ctx, maxRewatch, watch, func(_ time.Duration, err error) {
		err = wrap("watch", err)
		if a.watchErr.Swap(&err) == nil {
			w.mark()
		}
		first()
	})
}

// run checks and applies until it succeeds or its retries are used up.
func (a *attempt) run(ctx context.Context, refresh bool) outcome {
	w, meta := a.worker, a.worker.node.Meta
	start := time.Now()
	o := outcome{worker: w, refreshed: refresh && a.refresher != nil}
	for try := 0; ; try++ {
		o.changes, o.state = nil, Failed
		o.err = a.once(ctx, &o)
		if o.err == nil || ctx.Err() != nil || a.openErr != nil || meta.Retry >= 0 && try >= meta.Retry {
			break
		}
		delay := time.Duration(meta.Delay)
		if delay <= 0 {
			delay = minDelay
		}
		w.log.Warn("failed, will be tried again", "try", try+1, "in", delay, "err", o.err)
		sleep(ctx, delay)
	}
	o.took = time.Since(start)
	return o
}

// once makes one try.
func (a *attempt) once(ctx context.Context, o *outcome) (err error) {
	w := a.worker
	if a.openErr != nil {
		return a.openErr
	}
	if p := a.watchErr.Load(); p != nil {
		return *p
	}
	if err := w.limit.Wait(ctx); err != nil {
		return err
	}
	if o.changes, err = a.check(ctx, o.refreshed); err != nil {
		return err
	}
	switch {
	case len(o.changes) == 0: // so whatever an apply began before it failed, it made
		o.changes, o.applied = a.begun, len(a.begun) > 0
	case w.runner.noop(w.node):
		o.state = Differs
		return nil
	default:
		a.begun = o.changes
		if err := a.apply(ctx, o.changes); err != nil {
			return err
		}
		o.applied = true
	}
	o.state, a.begun = OK, nil
	return nil
}

func (a *attempt) check(ctx context.Context, refresh bool) (changes []Change, err error) {
	err = a.bounded(ctx, func(ctx context.Context) (err error) {
		if refresh {
			a.refresher.Refresh()
		}
		changes, err = a.resource.Check(ctx)
		return err
	})
	return changes, wrap("check", err)
}

func (a *attempt) apply(ctx context.Context, changes []Change) error {
	release, err := a.worker.shared.hold(ctx, a.worker.node.Meta.Sema)
	if err != nil {
		return err
	}
	defer release()
	return wrap("apply", a.bounded(ctx, func(ctx context.Context) error {
		return a.resource.Apply(ctx, changes)
	}))
}

// bounded calls f in one of the host's slots and within the resource's time-out.
func (a *attempt) bounded(ctx context.Context, f func(context.Context) error) error {
	release, err := a.worker.shared.slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	timeout := time.Duration(a.worker.node.Meta.Timeout)
	if timeout <= 0 {
		return guard(a.worker.log, func() error { return f(ctx) })
	}
	expired := fmt.Errorf("timed out after %v", timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, expired)
	defer cancel()
	err = guard(a.worker.log, func() error { return f(ctx) })
	if err != nil && context.Cause(ctx) == expired {
		return expired // whatever f made of being cancelled
	}
	return err
}

func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}
