package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"spore/engine"
	"spore/etcd"
	"spore/internal/secret"
	"spore/internal/view"
)

// A Residency is an agent that stays on its host, whoever brought it.
type Residency struct {
	Options         // Client, Log, Sink and Redact are filled in
	Home     string // where its lock and its control socket are
	Cluster  string // the name of its detached cluster
	Digest   string // SHA-256 of its binary, in hex
	Redactor *secret.Redactor
	LogLevel slog.Leveler
	Last     int64                   // the number of the last record of the agent before it
	Record   func(view.Record) error // is given each record
	// Dial is called once the host is this agent's. Predecessor is the lease of the agent that made
	// room for it, or 0.
	Dial func(ctx context.Context, log *slog.Logger, predecessor int64) (*etcd.Client, error)
	// Beside runs as long as the agent works, which ends with an error of it.
	Beside func(ctx context.Context) error
}

// takeOver bounds how long an agent may take to stop its work for its successor.
const takeOver = 30 * time.Second

// Reside takes the host over from whatever agent holds it and works there until ctx is done, when it
// leaves what the host exports for the next agent, or until it is told to stop, when it takes that back.
func Reside(ctx context.Context, r Residency) error {
	j := newJournalAfter(r.Last)
	j.enter()
	go func() {
		defer j.leave()
		_ = j.follow(context.WithoutCancel(ctx), r.Last, r.Record)
	}()
	r.Sink, r.Redact = view.Redact(j, r.Redactor.Redact), r.Redactor.Redact
	r.Log = view.NewLogger(r.Sink, r.LogLevel)
	err := (&resident{Residency: r, journal: j}).run(ctx)
	code := 0
	end := view.Record{Time: time.Now(), Type: view.End, Exit: &code}
	if err != nil {
		code, end.Message = ExitError, r.Redact(err.Error())
	}
	j.close(end, time.Second)
	return err
}

type resident struct {
	Residency
	journal *journal
	runner  atomic.Pointer[engine.Runner]
}

func (r *resident) run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	h := new(heir)
	me := Holder{PID: os.Getpid(), Dir: r.Home, Cluster: r.Cluster, Owner: "the detached cluster " + r.Cluster, Since: time.Now().UTC()}
	release, err := occupy(ctx, me, claimant{h.ask, takeOver})
	if err != nil {
		return err
	}
	defer release()
	// The connection outlives the work: who leaves does so through it.
	if r.Client, err = r.Dial(context.WithoutCancel(ctx), r.Log, h.lease); err != nil {
		return err
	}
	defer func() { closeClient(r.Client, errors.Is(context.Cause(ctx), errStopped), r.Log) }()
	c, err := listenControl(ctx, r.Home, r.journal, r.orders(end))
	if err != nil {
		return err
	}
	defer c.listener.Close()
	r.started = r.runner.Store
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { _, err := Run(ctx, r.Options); return err })
	tasks.Go(func() error { return r.Beside(ctx) })
	return tasks.Wait()
}

func (r *resident) orders(end context.CancelCauseFunc) orders {
	return orders{
		stop:    func() { end(errStopped) },
		yield:   func() bool { return false },
		succeed: func() int64 { end(errSucceeded); return r.Client.Lease() },
		status:  r.status,
	}
}

func (r *resident) status() Status {
	s := Status{Digest: r.Digest, Connected: r.Client.Connected()}
	if runner := r.runner.Load(); runner != nil {
		now := runner.Status()
		s.Settled, s.Revision = now.Settled, now.Revision
	}
	return s
}

// An heir asks for what another agent has.
type heir struct{ lease int64 }

// ask has the agent in dir end, and leave what it exports.
func (h *heir) ask(ctx context.Context, dir string) bool {
	var lease int64
	if ask(ctx, dir, "succeed", &lease) != nil {
		return false
	}
	h.lease = lease
	return true
}
