package cluster

import (
	"context"
	"net"
	"sync"
	"time"

	"spore/etcd"
)

const (
	stagger    = 250 * time.Millisecond // between the first tries of two hosts
	tryAgainIn = time.Second            // with the same one
)

// find returns a connection to the store through the host that is the first to lead to it. The
// others are tried meanwhile, each a little later than the one before.
func (l *Link) find(ctx context.Context) (*pipe, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	hosts := append([]HostRecord(nil), l.order...)
	l.mu.Unlock()

	found := make(chan *pipe, len(hosts))
	failed := make([]HostError, len(hosts))
	var all sync.WaitGroup
	begin := time.Now()
	for i, h := range hosts {
		all.Go(func() {
			p, err := l.try(ctx, h, time.Duration(i)*stagger, begin.Add(l.reacher.timeout()))
			if failed[i] = (HostError{h.Name, err}); err == nil {
				found <- p
				cancel()
			}
		})
	}
	all.Wait()
	close(found)
	p := <-found
	for late := range found { // as good, but one is enough
		_ = late.Conn.Close()
	}
	if p == nil {
		if l.ctx.Err() != nil {
			return nil, context.Cause(l.ctx)
		}
		return nil, &UnreachableError{failed}
	}
	return p, nil
}

// try returns a connection to the store through a host, trying again until the deadline if that
// may help.
func (l *Link) try(ctx context.Context, h HostRecord, after time.Duration, deadline time.Time) (*pipe, error) {
	var err error
	for wait := after; ; wait = tryAgainIn {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		var conn net.Conn
		if conn, err = l.attempt(ctx, h.Name); err == nil {
			return &pipe{conn, h.Name, l}, nil
		}
		if lasting(err) || !time.Now().Before(deadline) {
			return nil, err
		}
		l.reacher.Log.Debug("the host does not lead to the store, trying again", "host", h.Name, "error", err)
	}
}

// attempt opens a connection to the store through a host on which the store has been seen to answer:
// a host that can be reached may be cut off from the others, and then its store waits for ever.
func (l *Link) attempt(ctx context.Context, host string) (net.Conn, error) {
	c, err := l.Conn(ctx, host)
	if err != nil {
		return nil, err
	}
	first, err := c.Stream(ctx, l.reacher.pipe()...)
	if err != nil {
		return nil, explain(err)
	}
	if err := l.probe(ctx, first); err != nil {
		return nil, explain(err)
	}
	return c.Stream(ctx, l.reacher.pipe()...)
}

// probe reports why the store at the other end of conn does not answer, and closes conn.
func (l *Link) probe(ctx context.Context, conn net.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	once := &single{Conn: conn, broke: cancel}
	defer once.Close()
	store, err := etcd.Open(ctx, l.options(once.dial))
	if err != nil {
		return err
	}
	defer store.Close()
	return once.reason(l.check(ctx, store))
}
