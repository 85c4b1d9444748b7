package dial

import (
	"context"
	"sync"
)

// hops shares the connections to jump hosts: fifty hosts behind one bastion cost it one
// connection, and it is closed with the last of them.
type hops struct {
	mu   sync.Mutex
	open map[string]*hop
}

type hop struct {
	uses   int
	cancel context.CancelFunc
	ready  chan struct{} // closed once client or err is set
	client *Client
	err    error
}

func newHops() *hops { return &hops{open: make(map[string]*hop)} }

// A lease is the use of a shared connection.
type lease struct {
	client  *Client
	release func() // gives it back; may be called more than once
	discard func() // makes the next to ask dial anew
}

// acquire leases the connection called key, dialled by the first to ask for it. A dial goes on
// for as long as anyone waits.
func (h *hops) acquire(ctx context.Context, key string, dial func(context.Context) (*Client, error)) (*lease, error) {
	h.mu.Lock()
	p := h.open[key]
	if p == nil {
		p = &hop{ready: make(chan struct{})}
		var hopCtx context.Context
		hopCtx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
		h.open[key] = p
		go h.dial(hopCtx, key, p, dial)
	}
	p.uses++
	h.mu.Unlock()
	var err error
	select {
	case <-p.ready:
		if p.err == nil {
			return &lease{
				client:  p.client,
				release: sync.OnceFunc(func() { h.release(key, p) }),
				discard: func() { h.forget(key, p) },
			}, nil
		}
		err = p.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	h.release(key, p)
	return nil, err
}

func (h *hops) dial(ctx context.Context, key string, p *hop, dial func(context.Context) (*Client, error)) {
	p.client, p.err = dial(ctx)
	if p.err != nil {
		h.forget(key, p)
		close(p.ready)
		return
	}
	close(p.ready)
	_ = p.client.Wait() // why it ended, those who use it learn by themselves
	h.forget(key, p)
}

// forget makes the next to ask dial anew.
func (h *hops) forget(key string, p *hop) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[key] == p {
		delete(h.open, key)
	}
}

func (h *hops) release(key string, p *hop) {
	h.mu.Lock()
	p.uses--
	last := p.uses == 0
	if last && h.open[key] == p {
		delete(h.open, key)
	}
	h.mu.Unlock()
	if !last {
		return
	}
	p.cancel()
	go func() {
		<-p.ready
		if p.err == nil {
			_ = p.client.Close()
		}
	}()
}
