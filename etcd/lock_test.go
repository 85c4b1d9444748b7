package etcd

import (
	"context"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// holders returns the keys of those who have the lock or wait for it.
func holders(t *testing.T, s *Server) (leases []clientv3.LeaseID) {
	t.Helper()
	found, err := s.root.Get(t.Context(), stewardPrefix, clientv3.WithPrefix(),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range found.Kvs {
		leases = append(leases, clientv3.LeaseID(kv.Lease))
	}
	return leases
}

func waitHolders(t *testing.T, s *Server, n int) {
	t.Helper()
	deadline := time.After(patience)
	for len(holders(t, s)) != n {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %d wait for the lock", n)
		case <-time.After(retryPause):
		}
	}
}

func lockStores(t *testing.T) (*Server, *Store, *Store) {
	s := startServer(t)
	return s, openStore(t, s), openStore(t, s)
}

func ended(t *testing.T, ctx context.Context) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(patience):
		t.Fatal("the lock is held for ever")
	}
}

func TestLockExcludes(t *testing.T) {
	s, one, two := lockStores(t)
	held, release, err := one.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	taken := newLatest[context.Context]()
	background(t, func(ctx context.Context) error {
		held, release, err := two.Lock(ctx)
		if err != nil {
			return err
		}
		defer release()
		taken.set(held)
		<-ctx.Done()
		return nil
	})
	waitHolders(t, s, 2)
	if held.Err() != nil || taken.get() != nil {
		t.Error("two have the lock")
	}
	release()
	release()
	if held.Err() == nil {
		t.Error("who has released the lock still has it")
	}
	taken.wait(t, "the other takes it", func(c context.Context) bool { return c != nil && c.Err() == nil })
}

func TestLockIsLostWithItsLease(t *testing.T) {
	t.Parallel()
	s, one, two := lockStores(t)
	held, release, err := one.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := s.root.Revoke(t.Context(), holders(t, s)[0]); err != nil {
		t.Fatal(err)
	}
	ended(t, held)
	_, release, err = two.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release()
	waitHolders(t, s, 0)
}

// Who does not hear from the store must take it that another has the lock.
func TestLockIsLostInAnOutage(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	l := &link{server: s}
	o := adminOptions(s)
	o.Dialer = l.dial
	store, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	held, release, err := store.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.cut()
	ended(t, held)
	release()
	waitHolders(t, s, 0) // by itself
}

func TestLockGivesUpWithItsContext(t *testing.T) {
	s, one, two := lockStores(t)
	_, release, err := one.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error)
	go func() {
		_, _, err := two.Lock(ctx)
		failed <- err
	}()
	waitHolders(t, s, 2)
	cancel(errCut)
	if err := <-failed; err == nil || !strings.Contains(err.Error(), errCut.Error()) {
		t.Errorf("got %v", err)
	}
	waitHolders(t, s, 1)
}

// stuck is a store that takes no writes, as one without a majority.
type stuck struct{ clientv3.KV }

func (stuck) Delete(ctx context.Context, _ string, _ ...clientv3.OpOption) (*clientv3.DeleteResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestLockIsGivenUpWithoutTheStore(t *testing.T) {
	s, one, two := lockStores(t)
	_, release, err := one.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	two.etcd.KV = stuck{two.etcd.KV}
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() {
		_, _, err := two.Lock(ctx)
		given <- err
	}()
	waitHolders(t, s, 2)
	cancel()
	select {
	case err := <-given:
		if err == nil {
			t.Error("the lock was taken")
		}
	case <-time.After(patience):
		t.Fatal("the lock is waited for still")
	}
}
