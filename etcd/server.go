package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ServerOptions are the settings of a Server.
type ServerOptions struct {
	Dir string // private to the user (0700) and made by the caller; holds data, keys and the socket
	Log *slog.Logger
	// Authority is whose certificates the store goes by; nil makes a new one.
	Authority *Authority
	NoSync    bool // do not wait for the disk: only where losing everything in a crash is right
}

// A Server is an etcd in this process, of which nobody without a certificate of its own authority
// gets an answer.
type Server struct {
	*node
	authority *Authority
	admin     Credentials
	root      *clientv3.Client
	network   string // of the listener for clients
	address   string
}

// Start starts a new, empty store and returns when it serves.
func Start(ctx context.Context, o ServerOptions) (*Server, error) {
	s := &Server{node: newNode()}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start store: %w", err), s.Close())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, o ServerOptions) (err error) {
	if err := private(o.Dir); err != nil {
		return err
	}
	if s.authority = o.Authority; s.authority == nil {
		if s.authority, err = NewAuthority(); err != nil {
			return err
		}
	}
	config, err := serverConfig(o, s.authority, s.node, newZap(o.Log, s.fatal))
	if err != nil {
		return err
	}
	gone := make(chan struct{})
	if err := s.node.start(ctx, config, func() { close(gone) }); err != nil {
		s.abandon(gone)
		return err
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	go s.watch()
	if s.network, s.address, err = listening(config); err != nil {
		return err
	}
	return s.enableAuth(ctx, o.Log)
}

// abandon waits until an etcd that is not wanted any more has let go of its directory: it makes anew
// what the caller takes away too early.
func (s *Server) abandon(gone <-chan struct{}) {
	select {
	case <-gone:
	case <-s.done: // it failed for good, and never lets go
	case <-time.After(closeTimeout):
	}
}

// watch ends the server when etcd has ended by itself.
func (s *Server) watch() {
	select {
	case err := <-s.embedded.Err():
		s.end(fmt.Errorf("store failed: %w", err))
	case <-s.embedded.Server.StopNotify():
		s.end(errors.New("store failed: it stopped by itself"))
	case <-s.done:
	}
}

// Fence lets clients do nothing with the store until lift is called; they are told to try again. It
// returns once the calls that were under way have ended. Watches and keepalives end, so that nobody
// sees what happens to the store from then on, such as the end of a lease.
func (s *Server) Fence(ctx context.Context) (lift func(), err error) {
	idle, lift, err := s.gate.raise()
	if err != nil {
		return nil, fmt.Errorf("fence store: %w", err)
	}
	select {
	case <-idle:
		return lift, nil
	case <-s.done:
		err = errors.New("it has ended")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	lift()
	return nil, fmt.Errorf("fence store: %w", err)
}

// Snapshot writes all that the store holds to w, in the form that Restore takes, and tells what it
// is. It fails if the store changes meanwhile: fence it before.
func (s *Server) Snapshot(ctx context.Context, w io.Writer) (Mark, error) {
	m, err := s.snapshot(ctx, w)
	if err != nil {
		return Mark{}, fmt.Errorf("take snapshot: %w", err)
	}
	return m, nil
}

// Dial opens a connection to the listener, for a tunnel to carry.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, s.network, s.address)
}

// Endpoint is where clients on this machine reach the server.
func (s *Server) Endpoint() string {
	if s.network == "unix" {
		return "unix://" + s.address
	}
	return s.address
}

// Authority returns whose certificates the store goes by.
func (s *Server) Authority() *Authority { return s.authority }

// Admin returns the operator's credentials.
func (s *Server) Admin() Credentials { return s.admin }

// Close ends the server. Its Dir stays for the caller to remove.
func (s *Server) Close() error {
	s.end(nil)
	if s.root != nil {
		_ = s.root.Close() // it reports that it was closed
	}
	return s.close()
}
