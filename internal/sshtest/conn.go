package sshtest

import (
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

// A conn is one client's connection.
type conn struct {
	server *Server
	ssh    *ssh.ServerConn

	mu        sync.Mutex
	sessions  int
	listeners map[string]net.Listener // by network and bound address
}

func (s *Server) serve(raw net.Conn) {
	if !s.track(raw) {
		reset(raw)
		return
	}
	defer s.untrack(raw)
	sc, channels, requests, err := ssh.NewServerConn(raw, s.config)
	if err != nil {
		return // the client sees why; a test asks the client
	}
	c := &conn{server: s, ssh: sc, listeners: make(map[string]net.Listener)}
	defer c.closeListeners()
	s.wg.Go(func() { c.globalRequests(requests) })
	for nc := range channels {
		switch nc.ChannelType() {
		case "session":
			c.openSession(nc)
		case "direct-tcpip":
			c.openTCP(nc)
		case "direct-streamlocal@openssh.com":
			c.openUnix(nc)
		default:
			_ = nc.Reject(ssh.UnknownChannelType, "unknown channel type")
		}
	}
}

func (c *conn) globalRequests(requests <-chan *ssh.Request) {
	for r := range requests {
		if c.server.opts.IgnoreKeepalive {
			continue
		}
		ok, payload := c.global(r)
		if r.WantReply {
			_ = r.Reply(ok, payload)
		}
	}
}

func (c *conn) global(r *ssh.Request) (bool, []byte) {
	switch r.Type {
	case "tcpip-forward":
		return c.listenTCP(r.Payload)
	case "cancel-tcpip-forward":
		return c.cancelTCP(r.Payload), nil
	case "streamlocal-forward@openssh.com":
		return c.listenUnix(r.Payload), nil
	case "cancel-streamlocal-forward@openssh.com":
		return c.cancelUnix(r.Payload), nil
	}
	return false, nil // what OpenSSH answers to keepalive@openssh.com as well
}

func (c *conn) openSession(nc ssh.NewChannel) {
	c.mu.Lock()
	full := c.sessions >= c.server.opts.MaxSessions
	if !full {
		c.sessions++
	}
	c.mu.Unlock()
	if full {
		_ = nc.Reject(ssh.ConnectionFailed, "open failed")
		return
	}
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	c.server.wg.Go(func() {
		newSession(c.server, ch, c.ssh).serve(requests)
		c.mu.Lock()
		c.sessions--
		c.mu.Unlock()
	})
}
