package etcd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A MemberStatus is how one member stands, by its own word.
type MemberStatus struct {
	ID, Leader uint64 // Leader is 0 if it knows of none
	Version    string
	Size       int64 // of its file, in bytes
	InUse      int64 // of those
	Learner    bool
	Revision   int64
	Errors     []string
}

// Full says that the store takes no writes, for it has come to its quota.
func (s MemberStatus) Full() bool { return s.alarm(etcdserverpb.AlarmType_NOSPACE) }

// Corrupt says that the members do not hold the same.
func (s MemberStatus) Corrupt() bool { return s.alarm(etcdserverpb.AlarmType_CORRUPT) }

func (s MemberStatus) alarm(t etcdserverpb.AlarmType) bool {
	return slices.ContainsFunc(s.Errors, func(e string) bool { return strings.Contains(e, t.String()) })
}

const (
	statusTimeout = 2 * time.Second
	defragTimeout = time.Minute
)

// Status asks the member at endpoint itself, once, and waits two seconds at most.
func (s *Store) Status(ctx context.Context, endpoint string) (MemberStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	r, err := s.etcd.Status(ctx, endpoint)
	if err != nil {
		return MemberStatus{}, fmt.Errorf("ask the member for its status: %w", err)
	}
	return memberStatus(r), nil
}

// Mark returns the mark of all that the store holds now, by the word of the member at the first
// endpoint.
func (s *Store) Mark(ctx context.Context) (Mark, error) {
	hash, err := call(ctx, func(ctx context.Context) (*clientv3.HashKVResponse, error) {
		return s.etcd.HashKV(ctx, s.etcd.Endpoints()[0], 0)
	})
	if err != nil {
		return Mark{}, fmt.Errorf("get mark of the store: %w", err)
	}
	return Mark{Revision: hash.HashRevision, Hash: hash.Hash}, nil
}

// Defragment has the member at endpoint give back the space it does not use. Meanwhile it serves
// nobody. It is tried once, for at most a minute.
func (s *Store) Defragment(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, defragTimeout)
	defer cancel()
	if _, err := s.etcd.Defragment(ctx, endpoint); err != nil {
		return fmt.Errorf("defragment member at %s: %w", endpoint, err)
	}
	return nil
}

// Disarm lifts the alarms that keep the store from taking writes. Where the cause is still there
// they come back.
func (s *Store) Disarm(ctx context.Context) error {
	_, err := call(ctx, func(ctx context.Context) (*clientv3.AlarmResponse, error) {
		return s.etcd.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	})
	if err != nil {
		return fmt.Errorf("lift alarms: %w", err)
	}
	return nil
}

// Snapshot writes all that the store holds to w, for as long as ctx allows. It is tried once.
func (s *Store) Snapshot(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := s.etcd.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("take snapshot: %w", err)
	}
	n, err := io.Copy(w, r)
	err = errors.Join(err, r.Close())
	if err == nil && n%512 != sha256.Size { // it is whole sectors and the sum of them
		err = fmt.Errorf("it ended early, after %d bytes", n)
	}
	if err != nil {
		return fmt.Errorf("take snapshot: %w", err)
	}
	return nil
}
