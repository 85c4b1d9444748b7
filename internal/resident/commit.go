package resident

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spore/etcd"
)

// commitPoll is how often a store that nobody has committed to yet looks whether somebody has.
const commitPoll = 250 * time.Millisecond

// abandoned is the ID of the cluster that a store belongs to once it is too late to commit to it.
const abandoned = "abandoned"

// awaitCommit returns once the store belongs to the cluster that it was founded for, or with
// errResigned if it does not in time.
func (s *hostStore) awaitCommit(ctx context.Context) error {
	if s.member.Until.IsZero() {
		return nil
	}
	complained := false
	for ctx.Err() == nil {
		committed, err := s.committed(ctx)
		if err == nil && committed {
			s.member.Until, s.member.Member = time.Time{}, s.serving.ID()
			err = writeJSON(s.layout.membership(), s.member)
		}
		if err == nil && !committed && !s.Now().Before(s.member.Until) {
			err = s.abandon(ctx) // which may find that it was committed to just now
		} else if err == nil && committed {
			return nil
		}
		if errors.Is(err, errResigned) {
			return err
		}
		if err != nil && ctx.Err() == nil && !complained {
			s.Log.Error("cannot tell whether this store is committed to, will look again", "err", err)
			complained = true
		}
		pause(ctx, commitPoll)
	}
	return nil
}

// committed says whether the store belongs to the cluster that it was founded for. Once it belongs to
// another, it never will.
func (s *hostStore) committed(ctx context.Context) (bool, error) {
	c, ok, err := s.store.Cluster(ctx)
	if err != nil || !ok {
		return false, err
	}
	if c.ID != s.member.Cluster {
		return false, errResigned
	}
	return true, nil
}

// abandon makes sure that nobody commits to the store from now on, if nobody has: between a look and
// the end of the store somebody might, and believe that it stands.
func (s *hostStore) abandon(ctx context.Context) error {
	err := s.store.Commit(ctx, etcd.Cluster{ID: abandoned, Name: abandoned, Founded: s.Now()}, nil, s.member.Host, etcd.Order{})
	if err != nil {
		return fmt.Errorf("give the store up: %w", err)
	}
	return errResigned
}
