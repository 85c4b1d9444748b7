package dial

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// An agent lists its keys at once or not at all: in silence for agentLimit it counts as dead. What
// it signs may take its user's hand; after agentPatience we say so.
const (
	agentLimit    = 10 * time.Second
	agentPatience = 5 * time.Second
)

// agents shares one connection to each ssh-agent, and what it said it holds, among the dials
// under way, and closes it after the last of them.
type agents struct {
	limit time.Duration

	mu   sync.Mutex
	open map[string]*agentConn
}

type agentConn struct {
	uses    int
	ready   chan struct{} // closed once the rest is set
	conn    net.Conn
	signers []ssh.Signer
	err     error
}

func newAgents() *agents { return &agents{limit: agentLimit, open: make(map[string]*agentConn)} }

// signers lists what the agent at socket holds. They work until release is called.
func (a *agents) signers(ctx context.Context, socket string) (list []ssh.Signer, release func(), err error) {
	a.mu.Lock()
	c := a.open[socket]
	if c == nil {
		c = &agentConn{ready: make(chan struct{})}
		a.open[socket] = c
		go a.list(socket, c)
	}
	c.uses++
	a.mu.Unlock()
	release = sync.OnceFunc(func() { a.release(socket, c) })
	select {
	case <-c.ready:
		if err = c.err; err == nil {
			return c.signers, release, nil
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	release()
	return nil, nil, fmt.Errorf("ask ssh-agent for its keys: %w", err)
}

// list connects to the agent and asks what it holds.
func (a *agents) list(socket string, c *agentConn) {
	defer close(c.ready)
	c.conn, c.err = net.DialTimeout("unix", socket, a.limit)
	if c.err == nil {
		_ = c.conn.SetDeadline(time.Now().Add(a.limit))
		c.signers, c.err = agent.NewClient(c.conn).Signers()
		_ = c.conn.SetDeadline(time.Time{})
	}
	if c.err != nil {
		a.forget(socket, c)
	}
}

// forget makes the next dial connect anew, as after an agent was restarted.
func (a *agents) forget(socket string, c *agentConn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[socket] == c {
		delete(a.open, socket)
	}
}

func (a *agents) release(socket string, c *agentConn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.uses--; c.uses > 0 {
		return
	}
	if a.open[socket] == c {
		delete(a.open, socket)
	}
	go func() {
		if <-c.ready; c.conn != nil {
			_ = c.conn.Close()
		}
	}()
}
