package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// lockTTL is for how many seconds a lock outlives its holder.
const lockTTL = 10

// Lock waits until nobody else holds the lock of the steward and takes it. The context it returns
// ends when the lock is lost or released; who does not hear from the store loses it, at about the
// time at which another may take it.
func (s *Store) Lock(ctx context.Context) (held context.Context, release func(), err error) {
	return s.lock(ctx, stewardPrefix)
}

// lock takes the lock whose keys begin with prefix.
func (s *Store) lock(ctx context.Context, prefix string) (held context.Context, release func(), err error) {
	lease, err := call(ctx, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
		return s.etcd.Grant(ctx, lockTTL)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("get a lease for the lock: %w", err)
	}
	// A mutex that is not waited for any longer is cleaned up within its client's context, which for
	// s.etcd ends with the process: without a majority of the store that takes for ever.
	client := clientv3.NewCtxClient(ctx)
	client.KV, client.Lease, client.Watcher = s.etcd.KV, s.etcd.Lease, s.etcd.Watcher
	session, err := concurrency.NewSession(client, concurrency.WithLease(lease.ID), concurrency.WithContext(ctx))
	if err != nil {
		return nil, nil, fmt.Errorf("keep the lease of the lock: %w", err)
	}
	release = sync.OnceFunc(func() {
		session.Orphan()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeWithin)
		defer cancel()
		_, _ = s.etcd.Revoke(ctx, lease.ID) // or it ends by itself
	})
	mutex := concurrency.NewMutex(session, strings.TrimSuffix(prefix, "/"))
	err = mutex.Lock(clientv3.WithRequireLeader(session.Ctx()))
	if err == nil && session.Ctx().Err() != nil {
		err = concurrency.ErrSessionExpired
	}
	if err != nil {
		release()
		return nil, nil, fmt.Errorf("take the lock: %w", errors.Join(err, context.Cause(ctx)))
	}
	return session.Ctx(), release, nil
}
