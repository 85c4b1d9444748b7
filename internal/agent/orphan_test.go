package agent

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A line is a connection to the store that tests cut.
type line struct {
	up   atomic.Bool
	link chan bool
}

func (l *line) Connected() bool   { return l.up.Load() }
func (l *line) Link() <-chan bool { return l.link }

func (l *line) set(up bool) {
	l.up.Store(up)
	l.link <- up
	synctest.Wait()
}

// watched starts an orphanage, and returns the line and what ends the agent.
func watched(t *testing.T, after time.Duration) (*orphanage, *line, context.Context) {
	l := &line{link: make(chan bool, 1)}
	ctx, end := context.WithCancelCause(t.Context())
	o := &orphanage{client: l, after: after, log: slog.New(slog.DiscardHandler), end: end}
	go o.watch(ctx)
	t.Cleanup(func() { end(nil) })
	return o, l, ctx
}

func TestOrphanage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l, ctx := watched(t, time.Minute)
		time.Sleep(59 * time.Second)
		l.set(true)
		time.Sleep(time.Hour)
		l.set(false)
		time.Sleep(59 * time.Second)
		l.set(true) // a cut that is short enough
		time.Sleep(time.Hour)
		l.set(false)
		start := time.Now()
		<-ctx.Done()
		if took := time.Since(start); took != time.Minute || context.Cause(ctx) != errOrphaned {
			t.Errorf("ended after %v by %v", took, context.Cause(ctx))
		}
	})
}

func TestOrphanageFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, ctx := watched(t, time.Minute)
		start := time.Now()
		<-ctx.Done()
		if took := time.Since(start); took != time.Minute {
			t.Errorf("an agent that never reached the store ended after %v", took)
		}
	})
}

func TestOrphanageForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _, ctx := watched(t, 0)
		time.Sleep(1000 * time.Hour)
		if o.yield() || ctx.Err() != nil {
			t.Error("an agent that is to stay for ever has ended")
		}
	})
}

func TestYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l, ctx := watched(t, time.Hour)
		l.set(true)
		if o.yield() || ctx.Err() != nil {
			t.Error("an agent that has its initiator yields")
		}
		l.set(false)
		if !o.yield() || context.Cause(ctx) != errYielded {
			t.Errorf("an orphan does not yield: %v", context.Cause(ctx))
		}
	})
}
