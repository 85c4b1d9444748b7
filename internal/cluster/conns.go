package cluster

import (
	"context"
	"errors"
	"sync"
)

// conns are connections to hosts, at most one to each.
type conns struct {
	connect func(context.Context, HostRecord) (Conn, error)
	mu      sync.Mutex
	all     map[string]*slot
}

// A slot holds the connection to one host, for who holds its turn.
type slot struct {
	turn chan struct{}
	conn Conn
}

func (c *conns) slot(host string) *slot {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.all[host]
	if s == nil {
		if c.all == nil {
			c.all = make(map[string]*slot)
		}
		s = &slot{turn: make(chan struct{}, 1)}
		c.all[host] = s
	}
	return s
}

func (c *conns) get(ctx context.Context, h HostRecord) (Conn, error) {
	s := c.slot(h.Name)
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s.conn != nil {
		select {
		case <-s.conn.Lost():
			_ = s.conn.Close()
			s.conn = nil
		default:
			return s.conn, nil
		}
	}
	conn, err := c.connect(ctx, h)
	if err != nil {
		return nil, &loginError{err}
	}
	s.conn = conn
	return conn, nil
}

// close ends all connections; nobody asks for one any more.
func (c *conns) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, s := range c.all {
		s.turn <- struct{}{}
		if s.conn != nil {
			errs = append(errs, s.conn.Close())
			s.conn = nil
		}
	}
	return errors.Join(errs...)
}
