package agent

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"spore/engine"
	"spore/etcd"
)

const (
	// dither is how long a host may be unsettled before it says so. Each repair is followed by a
	// check that only finds it done: no news to anyone. What the store has yet to hear of is held
	// back by no means: that a host is settled, and how far it has got, are told at once.
	dither = 20 * time.Millisecond
	// retry is the wait after a report that could not be written.
	retry = 500 * time.Millisecond
)

// A reporter tells the store how the host stands, at each change.
type reporter struct {
	current   func() etcd.Report
	write     func(context.Context, etcd.Report) error
	ran, seen <-chan struct{} // receive when the runner, or the exchange, has moved on
	log       *slog.Logger
}

func (a *attached) reporter() *reporter {
	return &reporter{a.current, a.Client.Report, a.runner.Moved(), a.Client.Moved(), a.Log}
}

// current asks in the order that the convergence rule demands: how far the exchange has got first.
func (a *attached) current() etcd.Report {
	processed, whole := a.Client.Processed(), a.whole()
	s := a.runner.Status()
	return etcd.Report{
		Settled: s.Settled && whole, Graph: s.Revision, Processed: processed,
		Counts: s.Counts, Failures: a.failures.list(), Repaired: a.repairs.Load(),
	}
}

// run reports until ctx is done.
func (p *reporter) run(ctx context.Context) error {
	var later <-chan time.Time
	told := false // that the host is settled
	for {
		r := p.current()
		switch {
		case told && !r.Settled && later == nil:
			later = time.After(dither)
		case told && !r.Settled && later != nil: // still waiting
		default:
			told, later = p.tell(ctx, r)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-later:
			told, later = false, nil
		case <-p.ran:
		case <-p.seen:
		}
	}
}

func (p *reporter) tell(ctx context.Context, r etcd.Report) (told bool, later <-chan time.Time) {
	if err := p.write(ctx, r); err != nil {
		if ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			p.log.Debug("report: will be tried again", "err", err)
		}
		return false, time.After(retry)
	}
	return r.Settled, nil
}

// failures remembers what failed and has not recovered.
type failures struct {
	mu   sync.Mutex
	text map[engine.ID]string

	redact func(string) string
}

func newFailures(redact func(string) string) *failures {
	if redact == nil {
		redact = func(s string) string { return s }
	}
	return &failures{text: map[engine.ID]string{}, redact: redact}
}

func (f *failures) note(e engine.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.State == engine.Failed {
		f.text[e.Resource] = e.Resource.String() + ": " + f.redact(e.Err)
	} else {
		delete(f.text, e.Resource)
	}
}

// retain forgets those of the host's own resources that has does not know any more.
func (f *failures) retain(has func(engine.ID) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.text {
		if id.From == "" && !has(id) {
			delete(f.text, id)
		}
	}
}

func (f *failures) list() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, text := range f.text {
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}
