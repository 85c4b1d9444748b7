package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// minRewatch and maxRewatch bound the wait before a watch that failed is begun again.
const (
	minRewatch = 250 * time.Millisecond
	maxRewatch = time.Minute
)

// An attempt is an opened resource and what it takes to run it.
type attempt struct {
	worker   *worker
	resource Resource
	openErr  error
	watchErr atomic.Pointer[error] // why the watch does not work; nil while it does
}

// An outcome is how a run ended. Its worker's node is still counted as busy.
type outcome struct {
	worker    *worker
	state     State
	changes   []Change
	applied   bool // the changes were made
	refreshed bool
	err       error
	took      time.Duration
}

// moved reports whether dependents are to be told: something changed, or would have but for noop.
func (o outcome) moved() bool { return o.applied || o.state == Differs }

// tells reports whether there is anything to say about it.
func (o outcome) tells() bool { return o.moved() || o.err != nil }

func (o outcome) reason() string {
	if o.err == nil {
		return ""
	}
	return o.err.Error()
}

// open makes the resource. If that fails, each run of the attempt does.
func (w *worker) open() *attempt {
	a := &attempt{worker: w}
	a.openErr = guard(func() (err error) {
		a.resource, err = w.kind.Open(w.node.ID.Name, w.node.Spec, Env{
			Host: w.runner.cfg.Host, Log: w.log, World: w.runner.cfg.World, Dir: w.dir(),
		})
		return err
	})
	return a
}

// dir is the resource's private directory: the same for the same resource, whatever its name holds.
func (w *worker) dir() string {
	h := fnv.New64a()
	h.Write([]byte(w.node.ID.String()))
	return filepath.Join(w.runner.cfg.Dir, "resources", fmt.Sprintf("%s-%016x", w.node.ID.Kind, h.Sum64()))
}

func (a *attempt) close() {
	if c, ok := a.resource.(Closer); ok {
		if err := guard(c.Close); err != nil {
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
	first := sync.OnceFunc(func() { close(ready) })
	for wait := minRewatch; ctx.Err() == nil; wait = min(2*wait, maxRewatch) {
		worked, err := a.watchOnce(ctx, first)
		if ctx.Err() != nil {
			return
		}
		if worked {
			wait = minRewatch
		}
		err = fmt.Errorf("watch: %w", err)
		a.watchErr.Store(&err)
		first()
		w.mark()
		sleep(ctx, wait)
	}
}

// watchOnce watches until that fails. worked tells whether it ever did. It calls first when it
// does; the check that this allows is also the one for the first call of changed.
func (a *attempt) watchOnce(ctx context.Context, first func()) (worked bool, err error) {
	var began atomic.Bool
	err = guard(func() error {
		return a.resource.Watch(ctx, func() {
			recovered := a.watchErr.Swap(nil) != nil
			if began.Swap(true) || recovered {
				a.worker.mark()
			}
			first()
		})
	})
	if err == nil {
		err = errors.New("ended by itself")
	}
	return began.Load(), err
}

// run checks and applies until it succeeds or its retries are used up.
func (a *attempt) run(ctx context.Context) outcome {
	w, meta := a.worker, a.worker.node.Meta
	start := time.Now()
	o := outcome{worker: w, refreshed: w.refresh.Swap(false)}
	if r, ok := a.resource.(Refresher); ok && o.refreshed {
		r.Refresh()
	} else {
		o.refreshed = false
	}
	for try := 0; ; try++ {
		a.once(ctx, &o)
		if o.err == nil || ctx.Err() != nil || meta.Retry >= 0 && try >= meta.Retry {
			break
		}
		w.log.Warn("failed, will be tried again", "try", try+1, "in", meta.Delay, "err", o.err)
		sleep(ctx, max(time.Duration(meta.Delay), time.Millisecond))
	}
	o.took = time.Since(start)
	return o
}

// once makes one try, within the limits that the meta-parameters set.
func (a *attempt) once(ctx context.Context, o *outcome) {
	w := a.worker
	o.changes, o.state, o.err = nil, Failed, a.openErr
	if o.err != nil {
		return
	}
	if p := a.watchErr.Load(); p != nil {
		o.err = *p
		return
	}
	if w.limit != nil && w.limit.Wait(ctx) != nil {
		return
	}
	release, err := w.shared.slot(ctx)
	if err != nil {
		return
	}
	defer release()
	if o.changes, o.err = a.check(ctx); o.err != nil {
		return
	}
	switch {
	case len(o.changes) == 0:
		o.state = OK
	case w.node.Meta.Noop || w.runner.cfg.Noop:
		o.state = Differs
	default:
		if o.err = a.apply(ctx, o.changes); o.err == nil {
			o.state, o.applied = OK, true
		}
	}
}

func (a *attempt) check(ctx context.Context) (changes []Change, err error) {
	err = a.bounded(ctx, func(ctx context.Context) (err error) {
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

// bounded calls f within the resource's timeout, and turns a panic into an error.
func (a *attempt) bounded(ctx context.Context, f func(context.Context) error) error {
	timeout := time.Duration(a.worker.node.Meta.Timeout)
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("timed out after %v", timeout))
		defer cancel()
	}
	err := guard(func() error { return f(ctx) })
	if err != nil && errors.Is(err, context.DeadlineExceeded) && context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	return err
}

func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// guard turns a panic of f into an error that says where.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v at %s", p, strings.Join(strings.Fields(string(debug.Stack())), " "))
		}
	}()
	return f()
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func tick(ctx context.Context, interval time.Duration, f func()) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			f()
		case <-ctx.Done():
			return
		}
	}
}
