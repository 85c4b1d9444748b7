package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A session is a lease and what is written under it. What is wanted stays wanted: it is written
// again after an error, and under a new lease should the store have ended the last one, or been revived:
// then what was written may be lost, and what was taken away be there again.
type session struct {
	client *clientv3.Client
	host   string
	ttl    time.Duration
	log    *slog.Logger
	ctx    context.Context // ends with the session

	retry chan struct{} // capacity 1: something wanted may not be written

	writing chan struct{} // holds one while somebody writes, and has what is below to himself
	lease   clientv3.LeaseID
	abandon context.CancelFunc // has the lease kept alive no more
	wanted  map[string][]byte
	written map[string][]byte // what the store holds; nil for what it may or may not
	fence   int64             // the revision of the host's fence, as far as known
	// stale says that the lease was lost. The host may have been cut off, and have to export something
	// else by now: what it exported waits until latest says that it runs the graph that it is to.
	stale   bool
	latest  func(context.Context) (bool, error)
	keepers sync.WaitGroup

	current atomic.Int64 // the lease, for others to read
	seen    atomic.Int64 // the latest revision that the store is known to have come to
	revived atomic.Bool  // since it was last written to
}

const (
	maxOps       = 128       // of one transaction
	maxRequest   = 512 << 10 // bytes of one transaction, unless it is a single value: see partSize
	revokeWithin = 2 * time.Second
)

func newSession(ctx context.Context, client *clientv3.Client, host string, ttl time.Duration, log *slog.Logger) *session {
	return &session{
		client: client, host: host, ttl: ttl, log: log, ctx: ctx,
		retry:   make(chan struct{}, 1),
		writing: make(chan struct{}, 1),
		wanted:  make(map[string][]byte),
		written: make(map[string][]byte),
		abandon: func() {},
		latest:  func(context.Context) (bool, error) { return true, nil },
	}
}

// run writes what is wanted and not written, until the session ends.
func (s *session) run() {
	var failing bool
	for {
		select {
		case <-s.ctx.Done():
			s.writing <- struct{}{} // who writes may begin to keep a lease alive; nobody after him does
			s.release()
			s.keepers.Wait()
			return
		case <-s.retry:
		}
		err := s.set(s.ctx, func(map[string][]byte) {})
		if err != nil && s.ctx.Err() == nil {
			if !failing {
				s.log.Warn("cannot write to the store what this host exports and reports, will try again", "error", err)
			}
			select {
			case <-s.ctx.Done():
			case <-time.After(maxReconnect):
			}
		}
		failing = err != nil
	}
}

// again has run try to write.
func (s *session) again() {
	select {
	case s.retry <- struct{}{}:
	default:
	}
}

// acquire waits until nobody else writes.
func (s *session) acquire(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case s.writing <- struct{}{}:
		if ctx.Err() == nil {
			return nil
		}
		s.release()
	}
	return ctx.Err()
}

func (s *session) release() { <-s.writing }

// saw notes that the store has come to revision.
func (s *session) saw(revision int64) {
	for {
		last := s.seen.Load()
		if revision <= last {
			return
		}
		if !s.seen.CompareAndSwap(last, revision) {
			continue
		}
		if last > 0 && revision-last > leap/2 { // less than leap, by what is lost
			s.revived.Store(true)
			s.again()
		}
		return
	}
}

// set changes what is wanted and returns when the store has it all.
func (s *session) set(ctx context.Context, change func(wanted map[string][]byte)) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	change(s.wanted)
	if s.revived.Swap(false) {
		s.abandon() // what it holds and nothing overwrites goes with it
		s.forget(s.lease)
	}
	err := s.write(ctx)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		s.forget(s.lease)
		err = s.write(ctx)
	}
	if err != nil {
		s.again()
	}
	return err
}

// write makes the store hold what is wanted.
func (s *session) write(ctx context.Context) error {
	if s.stale {
		ok, err := s.latest(ctx)
		if err != nil {
			return err
		}
		s.stale = !ok
	}
	keys := s.unwritten()
	if len(keys) == 0 {
		return nil
	}
	if err := s.grant(ctx); err != nil {
		return err
	}
	for len(keys) > 0 {
		n := s.batch(keys)
		if err := s.commit(ctx, keys[:n]); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// unwritten returns the keys of which the store may hold something else than is wanted, reports
// last: a report is of what was written before it.
func (s *session) unwritten() []string {
	var keys []string
	for key, value := range s.wanted {
		if has, ok := s.written[key]; !ok || has == nil || !bytes.Equal(has, value) {
			keys = append(keys, key)
		}
	}
	for key := range s.written {
		if _, ok := s.wanted[key]; !ok {
			keys = append(keys, key)
		}
	}
	if s.stale {
		keys = slices.DeleteFunc(keys, func(key string) bool { return strings.HasPrefix(key, exportsPrefix) })
	}
	slices.SortFunc(keys, func(a, b string) int {
		if a, b := strings.HasPrefix(a, hostsPrefix), strings.HasPrefix(b, hostsPrefix); a != b {
			if a {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
	return keys
}

// batch returns how many of keys fit in one transaction, beside the fence.
func (s *session) batch(keys []string) int {
	size := 0
	for i, key := range keys {
		size += len(key) + len(s.wanted[key])
		if i == maxOps-1 || (i > 0 && size > maxRequest) {
			return i
		}
	}
	return len(keys)
}

func (s *session) commit(ctx context.Context, keys []string) error {
	ops := make([]clientv3.Op, len(keys))
	for i, key := range keys {
		if value, ok := s.wanted[key]; ok {
			ops[i] = clientv3.OpPut(key, string(value), clientv3.WithLease(s.lease))
		} else {
			ops[i] = clientv3.OpDelete(key)
		}
		s.written[key] = nil
	}
	if err := s.fenced(ctx, ops...); err != nil {
		return err
	}
	for _, key := range keys {
		if value, ok := s.wanted[key]; ok {
			s.written[key] = value
		} else {
			delete(s.written, key)
		}
	}
	return nil
}

// grant sees to it that there is a lease, and that it is kept alive.
func (s *session) grant(ctx context.Context) error {
	if s.lease != clientv3.NoLease {
		return nil
	}
	lease, err := call(ctx, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
		return s.client.Grant(ctx, int64((s.ttl+time.Second-1)/time.Second))
	})
	if err != nil {
		return fmt.Errorf("get a lease: %w", err)
	}
	kept, abandon := context.WithCancel(s.ctx)
	answers, err := s.client.KeepAlive(kept, lease.ID)
	if err != nil {
		abandon()
		return fmt.Errorf("keep the lease alive: %w", err)
	}
	s.abandon = abandon
	s.hold(lease.ID)
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	s.keepers.Go(func() {
		defer abandon()
		for range answers {
		}
		if s.acquire(s.ctx) != nil {
			return
		}
		defer s.release()
		s.forget(lease.ID)
		s.again()
	})
	return nil
}

func (s *session) hold(lease clientv3.LeaseID) {
	s.lease = lease
	s.current.Store(int64(lease))
}

// forget notes that a lease has ended, or may have: nothing is known of what was under it.
func (s *session) forget(lease clientv3.LeaseID) {
	if s.lease != lease {
		return
	}
	s.hold(clientv3.NoLease)
	s.stale = true
	for key := range maps.Keys(s.written) {
		s.written[key] = nil
	}
}

// revoke ends the lease, and with it all that is written. The session has ended.
func (s *session) revoke(ctx context.Context) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	if s.lease == clientv3.NoLease {
		return nil
	}
	return revoke(ctx, s.client, s.lease)
}

// revoke ends a lease, if it has not ended.
func revoke(ctx context.Context, client *clientv3.Client, lease clientv3.LeaseID) error {
	_, err := call(ctx, func(ctx context.Context) (*clientv3.LeaseRevokeResponse, error) {
		return client.Revoke(ctx, lease)
	})
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return err
}
