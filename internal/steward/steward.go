package steward

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options tell a steward what it is to look after. Times that are zero have the values given here.
type Options struct {
	Store     Store     // as the administrator
	Authority Authority // signs requests for certificates, and goes to new members
	Host      string    // the steward's own
	Log       *slog.Logger

	Now            func() time.Time // time.Now
	Tick           time.Duration    // 2 s: how often to look at what tells nothing of its changes
	LearnerTimeout time.Duration    // 2 min: how long a new member may take to come up
	Quota          int64            // 2 GiB: bytes at which the store stops writes
}

const (
	hurry = 250 * time.Millisecond // between looks while a learner is on its way
	soon  = 50 * time.Millisecond  // to the look after something was done

	// tooOld is the age of a look at which nothing is done by it any more: this process was stopped,
	// and another may be steward by now. A slow store alone must not come near it.
	tooOld = 30 * time.Second
	// rest is for how long a steward that gave up the lock lets others have it.
	rest = 3 * time.Second
)

// errNotMine says that what is to be done is for another steward to do.
var errNotMine = errors.New("it is for another steward to remove this one's own member")

// Run waits for the lock of stewards and acts for as long as it holds it, again and again, until ctx
// is done; then it returns nil. Errors that may pass are logged, and it goes on.
func Run(ctx context.Context, o Options) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Tick = cmp.Or(o.Tick, 2*time.Second)
	o.LearnerTimeout = cmp.Or(o.LearnerTimeout, 2*time.Minute)
	o.Quota = cmp.Or(o.Quota, 2<<30)
	var c complaints
	for ctx.Err() == nil {
		began := o.Now()
		held, release, err := o.Store.Lock(ctx)
		if o.Now().Sub(began) > patience {
			c = complaints{} // it did wait for the lock
		}
		if ctx.Err() == nil {
			c.note(o, "become steward", err)
		}
		if err != nil {
			wait(ctx, o.Tick, nil)
			continue
		}
		err = newSteward(o).lead(held)
		release()
		switch {
		case errors.Is(err, errNotMine):
			o.Log.Info("leaving the store to another steward", "reason", err)
			wait(ctx, rest, nil)
		case err != nil && ctx.Err() == nil:
			return fmt.Errorf("look after the store: %w", err)
		}
	}
	return nil
}

// A steward is one that holds the lock.
type steward struct {
	o          Options
	fleet      *fleetWatch
	memory     *memory
	refused    map[string][32]byte // digests of requests that are no better the next time
	complaints complaints
}

func newSteward(o Options) *steward {
	return &steward{
		o: o, fleet: newFleetWatch(), memory: newMemory(o.Now()), refused: make(map[string][32]byte),
	}
}

// lead looks after the store until ctx is done, which is no error.
func (s *steward) lead(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	followed := make(chan struct{})
	defer func() { cancel(nil); <-followed }()
	go func() {
		defer close(followed)
		if err := s.o.Store.Follow(ctx, s.fleet.set); err != nil {
			cancel(err)
		}
	}()
	s.o.Log.Info("this host is the steward of the store now")
	select { // without hosts every member would seem to be without one
	case <-s.fleet.news:
	case <-ctx.Done():
	}
	for ctx.Err() == nil {
		pause, err := s.step(ctx)
		if errors.Is(err, errNotMine) {
			return err
		}
		if ctx.Err() == nil {
			s.complaints.note(s.o, "look after the store", err)
		}
		wait(ctx, pause, s.fleet.news)
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// step looks once and does what is to be done. It returns when to look again.
func (s *steward) step(ctx context.Context) (pause time.Duration, err error) {
	began := s.o.Now()
	s.memory.advance(began)
	seen, ok, err := s.look(ctx)
	if err != nil || !ok {
		return s.o.Tick, err
	}
	v := s.memory.view(seen)
	v.self, v.quota, v.learnerTimeout = s.o.Host, s.o.Quota, s.o.LearnerTimeout
	pause = s.o.Tick
	if len(v.learners()) > 0 {
		pause = min(pause, hurry)
	}
	var errs []error
	for _, a := range plan(v) {
		if age := s.o.Now().Sub(began); age < 0 || age > tooOld {
			return s.o.Tick, fmt.Errorf("%s: the last look at the store was %s ago", a, age)
		}
		if err := s.act(ctx, a); err != nil {
			errs = append(errs, err) // of one host, maybe, for which the others need not wait
			continue
		}
		pause = min(pause, soon)
	}
	return pause, errors.Join(append(errs, s.sign(ctx, seen))...)
}

// act carries out one action and remembers what came of it.
func (s *steward) act(ctx context.Context, a action) error {
	if r, ok := a.(remove); ok && r.seat.Host == s.o.Host {
		return errNotMine
	}
	err := a.do(ctx, s.o.Store, s.o.Authority)
	if l, ok := a.(addLearner); ok && errors.Is(err, errSeal) {
		s.memory.fail(l.host)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", a, err)
	}
	s.o.Log.Info("the store's members are looked after", "done", a.String())
	switch a := a.(type) {
	case promote:
		s.memory.forgive(a.seat.Host)
	case remove:
		switch {
		case a.seat.Host == "":
		case a.blame == suspect:
			s.memory.suspect(a.seat.Host)
		case a.blame == guilty:
			s.memory.fail(a.seat.Host)
		}
	}
	return nil
}

// wait returns after d, or when there is news, or ctx is done.
func wait(ctx context.Context, d time.Duration, news <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-news:
	}
}
