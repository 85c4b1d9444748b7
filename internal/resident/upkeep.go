package resident

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spore/etcd"
)

const (
	lookAfter  = time.Minute // how often upkeep looks what there is to do
	sweepAfter = time.Hour   // how long a bundle that no graph names stays, at least
	// A file of the store is worth defragmenting if it is at least so large, and more than half empty.
	worthwhile = 16 << 20
)

// An upkeep takes snapshots of the store and keeps its files small.
type upkeep struct {
	*hostStore
	snapshots snapshots
	swept     time.Time // when this member last did it
	told      string    // what was complained of last
}

func (s *hostStore) newUpkeep() *upkeep {
	return &upkeep{hostStore: s, snapshots: snapshots{dir: s.layout.snapshots(), take: s.store.Snapshot, free: freeBytes}}
}

func (u *upkeep) run(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, lookAfter) {
		u.note(ctx, u.look(ctx))
	}
}

// note says what is wrong, once.
func (u *upkeep) note(ctx context.Context, err error) {
	told := ""
	if err != nil && ctx.Err() == nil {
		if told = err.Error(); told != u.told {
			u.Log.Warn("cannot look after the files of the store, will try again", "err", err)
		}
	}
	u.told = told
}

func (u *upkeep) look(ctx context.Context) error {
	own, err := u.store.Status(ctx, u.serving.Endpoint())
	if err != nil {
		return err
	}
	if own.Learner {
		return nil // it has yet to get what there is
	}
	err = u.snapshots.keep(ctx, u.Now(), own.Size)
	if own.ID == own.Leader { // also where there is no room for a snapshot: it makes room
		err = errors.Join(err, u.lead(ctx))
	}
	return err
}

// lead does what is for one member to do for all.
func (u *upkeep) lead(ctx context.Context) error {
	if now := u.Now(); now.Sub(u.swept).Abs() >= sweepAfter {
		if err := u.store.Sweep(ctx); err != nil {
			return err
		}
		u.swept = now
	}
	return u.defragment(ctx)
}

// defragment has the members give back what they do not use. It is the leader's to do for all: so
// there are never two at once that do not serve.
func (u *upkeep) defragment(ctx context.Context) error {
	members, err := u.store.Members(ctx)
	if err != nil {
		return err
	}
	for _, m := range members {
		all, err := u.healthy(ctx, members)
		if err != nil {
			return err
		}
		if !wasteful(all[m.ID]) {
			continue
		}
		if err := u.store.Defragment(ctx, m.Client); err != nil {
			return err
		}
		u.Log.Debug("defragmented", "member", m.Host)
	}
	return nil
}

// wasteful says that a member is worth defragmenting.
func wasteful(s etcd.MemberStatus) bool {
	if s.Full() { // any room will do, or it never takes a write again
		return s.InUse < s.Size/10*9
	}
	return s.Size >= worthwhile && s.InUse <= s.Size/2
}

// well says that a member can be defragmented. One that is full can: this is the cure.
func well(s etcd.MemberStatus) bool { return s.Leader != 0 && !s.Corrupt() }

// healthy asks all members how they stand. It is an error if one of them is not well.
func (u *upkeep) healthy(ctx context.Context, members []etcd.Member) (map[uint64]etcd.MemberStatus, error) {
	all := make(map[uint64]etcd.MemberStatus, len(members))
	for _, m := range members {
		s, err := u.store.Status(ctx, m.Client)
		if err == nil && !well(s) {
			err = fmt.Errorf("member %s is not well: %q", m.Host, s.Errors)
		}
		if err != nil {
			return nil, fmt.Errorf("not defragmenting: %w", err)
		}
		all[m.ID] = s
	}
	return all, nil
}
