package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A workload deploys one edition after another, in which it can be made to rest.
type workload struct {
	ledger *ledger
	deploy func(context.Context, edition) error

	mu      sync.Mutex
	epoch   int
	last    error         // why the last attempt failed
	resting bool          // no new edition is to be begun
	changed chan struct{} // closed and replaced when any of it changes, or an edition is acknowledged
}

// pace is how long it waits between two deploys.
const pace = 500 * time.Millisecond

func newWorkload(deploy func(context.Context, edition) error) *workload {
	return &workload{ledger: &ledger{}, deploy: deploy, resting: true, changed: make(chan struct{})}
}

// run deploys until ctx is done.
func (w *workload) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.mu.Lock()
		resting, epoch, changed := w.resting, w.epoch, w.changed
		w.mu.Unlock()
		if _, done := w.ledger.acknowledged(); resting && done {
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		err := w.deploy(ctx, w.ledger.ask(epoch, time.Now()))
		if ctx.Err() != nil {
			return // this end is ours
		}
		w.ledger.answer(err, time.Now())
		w.set(func() { w.last = err })
		select {
		case <-ctx.Done():
		case <-time.After(pace):
		}
	}
}

var errNone = errors.New("there has been none")

func (w *workload) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	close(w.changed)
	w.changed = make(chan struct{})
}

// work has it deploy editions of the epoch.
func (w *workload) work(epoch int) { w.set(func() { w.resting, w.epoch = false, epoch }) }

// once has it deploy one edition of the epoch, and returns when that was acknowledged. It must be
// at rest.
func (w *workload) once(ctx context.Context, epoch int) error {
	w.ledger.ask(epoch, time.Now())
	w.set(func() { w.epoch = epoch })
	_, err := w.rest(ctx)
	return err
}

// rest has it begin no new edition and returns the last one, when that was acknowledged.
func (w *workload) rest(ctx context.Context) (edition, error) {
	w.set(func() { w.resting = true })
	for {
		w.mu.Lock()
		changed, last := w.changed, w.last
		w.mu.Unlock()
		e, done := w.ledger.acknowledged()
		if done {
			return e, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return e, fmt.Errorf("edition %d is not acknowledged: %w; the last attempt: %w", e.number, ctx.Err(), cmp.Or(last, errNone))
		}
	}
}
