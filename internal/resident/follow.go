package resident

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"spore/etcd"
)

const (
	// refollow is the wait before what the store refused to tell is asked for again.
	refollow = 30 * time.Second
	// redo is the wait before what failed on the host is done again.
	redo = 2 * time.Second
	// recheck is how often to look whether the certificate is to be renewed.
	recheck = time.Hour
	// reobey is how often to look whether the host's store still is as ordered: it may have ended.
	reobey = 10 * time.Second
)

// A latest holds the newest of what was put there, until it is taken. Put has one caller at a time.
type latest[T any] chan T

func newLatest[T any]() latest[T] { return make(latest[T], 1) }

func (l latest[T]) put(v T) {
	select {
	case <-l:
	default:
	}
	l <- v
}

// A task does what the store tells of something.
type task[T any] struct {
	what   string
	log    *slog.Logger
	follow func(ctx context.Context, f func(T)) error // f does not wait for do
	do     func(context.Context, T) error
	every  time.Duration // how often to do the last again; 0 is never
}

// run does what is told, again after an error, until ctx is done.
func (t task[T]) run(ctx context.Context) {
	news := newLatest[T]()
	go t.listen(ctx, news)
	var v T
	var again <-chan time.Time
	complained := false
	for {
		select {
		case <-ctx.Done():
			return
		case v = <-news:
			complained = false
		case <-again:
		}
		again = nil
		if t.every > 0 {
			again = time.After(t.every)
		}
		if err := t.do(ctx, v); err != nil && ctx.Err() == nil {
			if !complained {
				t.log.Error("cannot do as the store tells of "+t.what+", will try again", "err", err)
			}
			complained = true
			again = time.After(redo)
		}
	}
}

// listen follows, and again if the store refuses.
func (t task[T]) listen(ctx context.Context, news latest[T]) {
	for ctx.Err() == nil {
		if err := t.follow(ctx, news.put); err != nil && ctx.Err() == nil {
			t.log.Warn("the store does not tell of "+t.what+", will ask again", "err", err)
			pause(ctx, refollow)
		}
	}
}

// followEndpoints goes where the store is.
func (a *hostAgent) followEndpoints(ctx context.Context) {
	t := task[[]string]{what: "its members", log: a.log, follow: a.client.FollowEndpoints, do: a.moveTo}
	t.run(ctx)
}

func (a *hostAgent) moveTo(_ context.Context, endpoints []string) error {
	if len(endpoints) == 0 {
		return nil
	}
	a.client.SetEndpoints(endpoints)
	var saved []string
	if readJSON(a.layout.endpoints(), &saved) == nil && slices.Equal(saved, endpoints) {
		return nil
	}
	return writeJSON(a.layout.endpoints(), endpoints)
}

// followOrder makes the host a member of the store, or not one.
func (a *hostAgent) followOrder(ctx context.Context) {
	t := task[*etcd.Order]{what: "this host's part in it", log: a.log, follow: a.client.FollowOrder, do: a.obey, every: reobey}
	t.run(ctx)
}

// followCertificate takes what the steward signed.
func (a *hostAgent) followCertificate(ctx context.Context) {
	t := task[[]byte]{what: "this host's certificate", log: a.log, follow: a.client.FollowCertificate, do: a.take}
	t.run(ctx)
}

func (a *hostAgent) take(_ context.Context, certificate []byte) error {
	if len(certificate) == 0 {
		return nil
	}
	renewed, err := a.wallet.renew(certificate, a.Now())
	if renewed {
		a.log.Info("the certificate of this host was renewed")
	}
	return err
}

// renewCertificate asks for a new certificate in time.
func (a *hostAgent) renewCertificate(ctx context.Context) {
	for ctx.Err() == nil {
		wait := recheck
		if a.wallet.due(a.Now()) {
			if err := a.requestCertificate(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("no new certificate could be asked for, will try again", "err", err)
				wait = refollow
			}
		}
		pause(ctx, wait)
	}
}

func (a *hostAgent) requestCertificate(ctx context.Context) error {
	request, err := a.wallet.request()
	if err != nil {
		return err
	}
	return a.client.RequestCertificate(ctx, request)
}
