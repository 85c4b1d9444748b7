// Package sshtest is an SSH and SFTP server inside the process, bound to loopback: for tests
// that need no real host, and for the demo on machines without root. Commands really run, as
// the current user. It copies the ways of OpenSSH that a client can stumble over: what a host
// forbids, what its .bashrc prints, and what becomes of a command whose connection is cut.
package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Options say how a server behaves. The zero value lets nobody in.
type Options struct {
	Dir string   // HOME and working directory of commands; must exist
	Env []string // added to the environment of commands, as NAME=value

	User            string          // the only user let in; "" is any
	AuthorizedKeys  []ssh.PublicKey // keys let in
	UserCA          ssh.PublicKey   // signs user certificates that are let in
	Password        string          // let in by the password method; "" is none
	Questions       []Question      // asked by keyboard-interactive; none turns it off
	SecondFactor    bool            // Questions come after a key or password, not in place of it
	MaxAuthTries    int             // 0 is 6, as OpenSSH has it
	HostKeys        []ssh.Signer    // none means a new ed25519 key; certificates are allowed
	Banner          string          // shown before authentication
	Refusal         string          // said to whoever is not let in
	Greeting        string          // what a chatty .bashrc prints ahead of every command and of SFTP
	Shell           string          // runs commands by -c; "" is /bin/sh
	NoSFTP          bool            // no sftp subsystem
	NoTCPForward    bool            // AllowTcpForwarding no, which denies Unix sockets too
	NoStreamLocal   bool            // AllowStreamLocalForwarding no
	MaxSessions     int             // sessions open at once on one connection; 0 is 10
	RefuseFirst     int             // so many connections are reset before one is served
	IgnoreKeepalive bool            // leave global requests unanswered, as a hung host does
}

// A Question is one line of a keyboard-interactive exchange.
type Question struct {
	Text   string
	Echo   bool
	Answer string
}

// A Server is a running server.
type Server struct {
	opts     Options
	config   *ssh.ServerConfig
	listener net.Listener
	hostKeys []ssh.Signer

	accepted atomic.Int64
	refuse   atomic.Bool
	wg       sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
	groups map[int]struct{} // process groups of running commands
}

// Start serves on a free port of 127.0.0.1 until Close.
func Start(opts Options) (*Server, error) {
	if opts.Dir == "" {
		return nil, errors.New("start ssh server: no directory is given")
	}
	if opts.Shell == "" {
		opts.Shell = "/bin/sh"
	}
	if opts.MaxSessions == 0 {
		opts.MaxSessions = 10
	}
	s := &Server{
		opts:     opts,
		hostKeys: opts.HostKeys,
		conns:    make(map[net.Conn]struct{}),
		groups:   make(map[int]struct{}),
	}
	if len(s.hostKeys) == 0 {
		key, err := NewKey()
		if err != nil {
			return nil, err
		}
		s.hostKeys = []ssh.Signer{key}
	}
	s.config = s.serverConfig()
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start ssh server: %w", err)
	}
	s.wg.Go(s.accept)
	return s, nil
}

// NewKey makes an ed25519 key.
func NewKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make ssh key: %w", err)
	}
	return ssh.NewSignerFromSigner(private)
}

// Addr is host:port of the server.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// HostKey is the first of the server's public keys.
func (s *Server) HostKey() ssh.PublicKey { return s.hostKeys[0].PublicKey() }

// KnownHostsLine is the line, with its newline, by which known_hosts trusts the server.
func (s *Server) KnownHostsLine() string {
	return knownhosts.Line([]string{s.Addr()}, s.HostKey()) + "\n"
}

// Connections is how many TCP connections have been accepted so far, refused ones included.
func (s *Server) Connections() int { return int(s.accepted.Load()) }

// Open is how many connections are open now.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Refuse makes the server reset every new connection, or stop doing so.
func (s *Server) Refuse(refuse bool) { s.refuse.Store(refuse) }

// DropAll cuts every connection as a broken network does. What their commands do about it is
// up to them.
func (s *Server) DropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		reset(c)
	}
}

// Close stops listening, cuts every connection, kills the commands still running, and waits for
// them.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.listener.Close()
	s.DropAll()
	s.mu.Lock()
	for pgid := range s.groups {
		// A group that has just ended is no error here.
		_ = syscall.Kill(-pgid, syscall.SIGKILL)
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		n := s.accepted.Add(1)
		if s.refuse.Load() || n <= int64(s.opts.RefuseFirst) {
			reset(c)
			continue
		}
		s.wg.Go(func() { s.serve(c) })
	}
}

// reset closes c with an RST, so that the peer sees an error at once.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// track remembers c for DropAll; it reports false when the server has been closed.
func (s *Server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) untrack(c net.Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	_ = c.Close()
}
