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

// each follows something of the store, again if it refuses, and has do deal with the latest, again
// after an error, until ctx is done. What is followed must not wait for do.
func each[T any](ctx context.Context, log *slog.Logger, what string, follow func(context.Context, func(T)) error, do func(context.Context, T) error) {
	news := newLatest[T]()
	go func() {
		for ctx.Err() == nil {
			if err := follow(ctx, news.put); err != nil && ctx.Err() == nil {
				log.Warn("the store does not tell of "+what+", will ask again", "err", err)
				pause(ctx, refollow)
			}
		}
	}()
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
		if err := do(ctx, v); err != nil && ctx.Err() == nil {
			if !complained {
				log.Error("cannot do as the store tells of "+what+", will try again", "err", err)
			}
			complained = true
			again = time.After(redo)
		}
	}
}

// followEndpoints goes where the store is.
func (a *hostAgent) followEndpoints(ctx context.Context) {
	each(ctx, a.log, "its members", a.client.FollowEndpoints, func(_ context.Context, endpoints []string) error {
		if len(endpoints) == 0 {
			return nil
		}
		a.client.SetEndpoints(endpoints)
		var saved []string
		if readJSON(a.layout.endpoints(), &saved) == nil && slices.Equal(saved, endpoints) {
			return nil
		}
		return writeJSON(a.layout.endpoints(), endpoints)
	})
}

// followOrder makes the host a member of the store, or not one.
func (a *hostAgent) followOrder(ctx context.Context) {
	each(ctx, a.log, "this host's part in it", a.client.FollowOrder, func(ctx context.Context, o *etcd.Order) error {
		return a.obey(ctx, o)
	})
}

// followCertificate takes what the steward signed.
func (a *hostAgent) followCertificate(ctx context.Context) {
	each(ctx, a.log, "this host's certificate", a.client.FollowCertificate, func(_ context.Context, text []byte) error {
		if len(text) == 0 {
			return nil
		}
		renewed, err := a.wallet.renew(text, a.Now())
		if renewed {
			a.log.Info("the certificate of this host was renewed")
		}
		return err
	})
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
