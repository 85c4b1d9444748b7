package dial

import (
	"context"
	"fmt"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// agents shares one connection to each ssh-agent among the dials under way, and closes it after
// the last of them.
type agents struct {
	mu   sync.Mutex
	open map[string]*agentConn
}

type agentConn struct {
	uses   int
	conn   net.Conn
	client agent.ExtendedAgent
}

func newAgents() *agents { return &agents{open: make(map[string]*agentConn)} }

// signers lists what the agent at socket holds. They work until release is called.
func (a *agents) signers(ctx context.Context, socket string) (list []ssh.Signer, release func(), err error) {
	c, err := a.acquire(ctx, socket)
	if err != nil {
		return nil, nil, fmt.Errorf("ask ssh-agent: %w", err)
	}
	release = sync.OnceFunc(func() { a.release(socket, c) })
	if list, err = c.client.Signers(); err != nil {
		a.forget(socket, c)
		release()
		return nil, nil, fmt.Errorf("ask ssh-agent for its keys: %w", err)
	}
	return list, release, nil
}

func (a *agents) acquire(ctx context.Context, socket string) (*agentConn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.open[socket]
	if c == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		if err != nil {
			return nil, err
		}
		c = &agentConn{conn: conn, client: agent.NewClient(conn)}
		a.open[socket] = c
	}
	c.uses++
	return c, nil
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
	_ = c.conn.Close()
}
