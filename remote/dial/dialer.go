package dial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Dialer turns Targets into authenticated connections. Its fields must not change after the
// first Dial. Dial may be called from many goroutines; they share what was read from files,
// answered by the person and connected to jump hosts.
type Dialer struct {
	// Config is the ssh_config file to use in place of ~/.ssh/config and /etc/ssh/ssh_config;
	// "none" uses no file at all.
	Config string
	// AcceptNew trusts the key of a host that known_hosts does not name, and stores it. A key
	// that differs from the one stored is refused all the same.
	AcceptNew bool
	// Prompt asks for passphrases, passwords and codes; nil never asks.
	Prompt Prompter
	// Timeout bounds each attempt to connect and shake hands, not the time a person takes to
	// answer. 0 means ssh_config's ConnectTimeout, or 15 s.
	Timeout time.Duration
	// Slow, if given, is told once of each host, jump hosts included, that has neither let us in nor
	// refused to after some seconds, in which nobody was asked anything; addr is what was dialled.
	Slow func(t Target, addr string)
	// Log receives warnings; nil discards them.
	Log *slog.Logger

	Home   string              // the home directory; "" means $HOME, or the one of /etc/passwd
	System string              // the system's directory of ssh_config and ssh_known_hosts; "" means /etc/ssh
	Getenv func(string) string // nil means os.Getenv

	once sync.Once
	env  *environment
	err  error
}

// A Client is a connection to one host. It is closed by itself when the host stays silent for
// longer than keepalives allow.
type Client struct {
	*ssh.Client
	Target Target
	Addr   string // what ssh_config made of the Target: host:port

	release func() // gives back what the connection runs over
	stop    func() // ends the keepalives
}

// Close ends the connection, and the jump chain or proxy command under it once nothing else
// uses that.
func (c *Client) Close() error {
	c.stop()
	err := c.Client.Close()
	c.release()
	return err
}

// Dial connects to t, verifies its host key, and logs in. It returns promptly when ctx ends.
// Errors are *UnreachableError, *HostKeyError or *AuthError, or say what is wrong with
// ssh_config; all name the host concerned, which may be a jump host.
func (d *Dialer) Dial(ctx context.Context, t Target) (*Client, error) {
	e, err := d.environment()
	if err != nil {
		return nil, err
	}
	route, err := e.route(t)
	if err != nil {
		return nil, err
	}
	c, err := e.dial(ctx, route)
	if ctx.Err() != nil {
		if err == nil {
			_ = c.Close()
		}
		return nil, fmt.Errorf("connect to %s: %w", t.Name(), context.Cause(ctx))
	}
	return c, err
}

// dial connects to the last host of route through those before it.
func (e *environment) dial(ctx context.Context, route []*settings) (*Client, error) {
	s := route[len(route)-1]
	l := &login{env: e, settings: s, ctx: ctx}
	c, err := e.attempt(ctx, route, l)
	if err != nil && l.lostPatience() && ctx.Err() == nil {
		// The host hung up while the person was typing; now the answer is at hand.
		c, err = e.attempt(ctx, route, &login{env: e, settings: s, ctx: ctx})
	}
	return c, err
}

// attempt makes one connection and logs in over it.
func (e *environment) attempt(ctx context.Context, route []*settings, l *login) (*Client, error) {
	s := l.settings
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.clock = new(clock)
	defer l.clock.stop()
	l.clock.after(s.timeout, func() { cancel(errSilent(s.timeout)) })
	l.clock.after(slowAfter, func() { e.slowOnce(s) })
	conn, release, err := e.transport(ctx, route, l.clock)
	if err != nil {
		return nil, err
	}
	c, err := l.handshake(ctx, conn)
	if err != nil {
		release()
		return nil, err
	}
	c.release = release
	c.stop = keepAlive(c.Client, conn, s.keepalive, s.keepaliveMax)
	go func() { // a connection that ends by itself holds nothing either
		_ = c.Wait()
		c.stop()
		release()
	}()
	return c, nil
}

// transport opens the byte stream that SSH runs over. release gives back what it needs besides
// the stream, and may be called more than once.
func (e *environment) transport(ctx context.Context, route []*settings, clock *clock) (*stream, func(), error) {
	s := route[len(route)-1]
	var conn net.Conn
	var err error
	release := func() {}
	switch {
	case len(route) > 1:
		conn, release, err = e.viaHop(ctx, route, clock)
	case s.proxyCommand != "":
		conn, err = startProxy(s.proxyCommand, e.getenv("SHELL"))
	default:
		conn, err = new(net.Dialer).DialContext(ctx, s.network, s.addr())
	}
	if err != nil {
		return nil, nil, unreachable(ctx, s, err)
	}
	return newStream(conn), release, nil
}

// viaHop opens a channel to the last host of route on a connection to the one before it. A shared
// connection that turns out to be dead is made anew, once.
func (e *environment) viaHop(ctx context.Context, route []*settings, clock *clock) (net.Conn, func(), error) {
	before, s := route[:len(route)-1], route[len(route)-1]
	for again := false; ; again = true {
		resume := clock.pause() // making that connection has a time limit of its own
		hop, err := e.hops.acquire(ctx, key(before), func(ctx context.Context) (*Client, error) {
			return e.dial(ctx, before)
		})
		resume()
		if err != nil {
			return nil, nil, err
		}
		conn, err := hop.client.DialContext(ctx, "tcp", s.addr())
		if err == nil {
			return conn, hop.release, nil
		}
		var refused *ssh.OpenChannelError
		if ctx.Err() == nil && !errors.As(err, &refused) {
			hop.discard()
		}
		hop.release()
		if again || ctx.Err() != nil || refused != nil {
			return nil, nil, fmt.Errorf("through %s: %w", before[len(before)-1].target.Name(), err)
		}
	}
}
