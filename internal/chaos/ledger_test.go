package chaos

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLedger(t *testing.T) {
	var l ledger
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	if e := l.ask(4, at(0)); e != (edition{1, 4}) {
		t.Fatalf("the first edition is %v", e)
	}
	l.answer(nil, at(1))
	l.ask(4, at(10))
	l.answer(errors.New("no"), at(12))
	if e, done := l.acknowledged(); e.number != 2 || done {
		t.Errorf("after a refusal: %v, %v", e, done)
	}
	if e := l.ask(5, at(13)); e != (edition{2, 4}) {
		t.Errorf("what was refused is asked for again as %v", e)
	}
	l.answer(nil, at(17))
	l.ask(5, at(20))
	l.answer(nil, at(22))
	if e, done := l.acknowledged(); e != (edition{3, 5}) || !done {
		t.Errorf("at the end: %v, %v", e, done)
	}
	want := Deploys{Acknowledged: 3, Refused: 1, Median: 2 * time.Second, Longest: 7 * time.Second}
	if got := l.deploys(); got != want || got.Unavailable() != 5*time.Second {
		t.Errorf("deploys: %+v", got)
	}
	if got := new(ledger).deploys(); got != (Deploys{}) {
		t.Errorf("of none: %+v", got)
	}
}

func TestWorkload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		noStore := errors.New("no store")
		var broken atomic.Bool
		deployed := make(chan edition, 100)
		w := newWorkload(func(_ context.Context, e edition) error {
			time.Sleep(time.Second) // of the bubble: it takes as long as a deploy does
			if broken.Load() {
				return noStore
			}
			deployed <- e
			return nil
		})
		wg.Go(func() { w.run(ctx) })
		time.Sleep(time.Minute)
		if len(deployed) > 0 {
			t.Fatal("it does not begin at rest")
		}
		if err := w.once(ctx, 7); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n, e := len(deployed), <-deployed; n != 1 || e != (edition{1, 7}) {
			t.Fatalf("%d editions, the first is %v", n, e)
		}
		w.work(8)
		time.Sleep(time.Minute)
		e, err := w.rest(ctx)
		if err != nil || e.epoch != 8 || e.number != 1+len(deployed) || e.number < 30 {
			t.Fatalf("after a minute: %v, %v, %d deploys", e, err, len(deployed))
		}

		broken.Store(true)
		w.work(8)
		time.Sleep(time.Minute)
		limit, stop := context.WithTimeout(ctx, time.Minute)
		defer stop()
		open, err := w.rest(limit)
		if !errors.Is(err, noStore) || !errors.Is(err, context.DeadlineExceeded) || open.number != e.number+1 {
			t.Fatalf("without a store: %v, %v", open, err)
		}
		broken.Store(false)
		if now, err := w.rest(ctx); err != nil || now != open {
			t.Errorf("with a store again: %v, %v", now, err)
		}
		if d := w.ledger.deploys(); d.Longest < time.Minute || d.Refused < 60 {
			t.Errorf("deploys: %+v", d)
		}
	})
}
