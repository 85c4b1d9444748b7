// Package agent is what runs on a host: it keeps the host's graph, follows the store for newer
// ones, and reports. Run does that much, with or without a store; Serve is Run as an initiator
// starts it, found again after a cut and gone without a trace when it is not needed any more.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"spore/engine"
	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/settle"
	"spore/internal/view"
)

// Options say what an agent works on.
type Options struct {
	// Manifest is what to begin with, unless the store has a graph for the host.
	Manifest *manifest.Manifest
	Kinds    engine.Kinds
	// Secrets returns what a reference in a graph of the store stands for.
	Secrets Secrets
	// Redact takes secrets out of what the host reports to the store; nil does nothing. Sink has to
	// see to that itself.
	Redact func(string) string
	Host   string
	Dir    string       // private directory
	Client *etcd.Client // nil: alone, with an exchange of its own
	// StoreFirst is how long to wait for the store's graph before beginning with Manifest; 5 s if zero.
	StoreFirst time.Duration
	// Prepare, if given, is asked before a graph of the store is made the running one: for the
	// directory in which its relative sources lie, and what the references in it stand for. It is
	// asked again after an error, and may take its time.
	Prepare func(ctx context.Context, g etcd.Graph) (dir string, secrets Secrets, err error)
	// Applied, if given, is told of each graph of the store that was made the running one.
	Applied func(g etcd.Graph, revision int64)
	Edits   Edits // followed if Client is nil; may be nil
	Noop    bool
	// Timeout ends the run when the host has been settled for so long; negative is never.
	Timeout time.Duration
	Version string
	Log     *slog.Logger
	Sink    view.Sink

	started func(*engine.Runner) // told of the runner; may be nil
}

// Edits calls changed with each later version of the manifest until ctx is done.
type Edits func(ctx context.Context, changed func(*manifest.Manifest)) error

// Run keeps the host's graph until ctx is done or the time-out has passed, stops what it started,
// and returns how the host stood.
func Run(ctx context.Context, o Options) (engine.Counts, error) {
	failures, repairs := newFailures(o.Redact), new(atomic.Int64)
	runner := engine.NewRunner(engine.Config{
		Kinds: o.Kinds, Host: o.Host, World: o.world(), Dir: o.Dir, Noop: o.Noop, Log: o.Log,
		Observe: func(e engine.Event) {
			failures.note(e)
			if e.Drift && e.State == engine.OK {
				repairs.Add(1)
			}
			o.Sink.Emit(view.Record{Time: e.Time, Type: view.Resource, Event: &e})
		},
	})
	if o.started != nil {
		o.started(runner)
	}
	if o.Client == nil {
		if err := runner.Swap(o.Manifest.Program, 0); err != nil {
			return engine.Counts{}, err
		}
	}
	last := &standing{runner: runner}
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { runner.Run(ctx); return ctx.Err() })
	if o.Client != nil {
		a := newAttached(o, runner, failures, repairs)
		tasks.Go(func() error { return a.followGraph(ctx) })
		tasks.Go(func() error { return a.reporter().run(ctx) })
	} else {
		if o.Edits != nil {
			tasks.Go(func() error { return followEdits(ctx, o, runner) })
		}
		tasks.Go(func() error { return lasted(ctx, o, last) })
	}
	err := tasks.Wait()
	if errors.Is(err, errLasted) || errors.Is(err, context.Canceled) {
		err = nil
	}
	return last.counts(), err
}

// A standing remembers how a host stood when it was last settled: at its end, work that is cancelled,
// such as the check after a repair, must not make it look worse.
type standing struct {
	runner  *engine.Runner
	settled *engine.Status
}

func (s *standing) ask() bool {
	now := s.runner.Status()
	if now.Settled {
		s.settled = &now
	}
	return now.Settled
}

func (s *standing) counts() engine.Counts {
	if now := s.runner.Status(); s.settled == nil || s.settled.Revision != now.Revision {
		return now.Counts
	}
	return s.settled.Counts
}

func (o Options) world() engine.World {
	if o.Client != nil {
		return o.Client
	}
	return engine.NewMemory().World(o.Host)
}

// errLasted ends the tasks of a run whose time-out has passed.
var errLasted = errors.New("settled for long enough")

// lasted waits until a host without a store has been settled for the time-out.
func lasted(ctx context.Context, o Options, s *standing) error {
	wait := settle.Wait{
		For: o.Timeout, Grace: dither, Changed: s.runner.Moved(), Is: s.ask,
		Seen: func(settled bool) {
			if settled && s.settled.Counts.Failed == 0 {
				o.Sink.Emit(view.Record{Time: time.Now(), Type: view.Converged})
			}
		},
	}
	if o.Timeout < 0 { // wait all the same, to tell when the host is settled
		wait.For = 1<<63 - 1
	}
	err := wait.Until(ctx)
	if err != nil {
		return err
	}
	return errLasted
}

func followEdits(ctx context.Context, o Options, r *engine.Runner) error {
	revision := int64(0)
	return o.Edits(ctx, func(m *manifest.Manifest) {
		revision++
		if err := r.Swap(m.Program, revision); err != nil {
			o.Log.Error("edit refused", "err", err)
		}
	})
}

func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}
