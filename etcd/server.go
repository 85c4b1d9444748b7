package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
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
	authority *Authority
	admin     Credentials
	embedded  *embed.Etcd
	root      *clientv3.Client
	network   string // of the listener for clients
	address   string

	streams context.CancelFunc // ends the streams of clients

	admitting sync.Mutex
	admitted  map[string]*admission

	once   sync.Once
	done   chan struct{}
	err    error // set before done is closed
	closed atomic.Bool
}

// How long an etcd may take to end, which takes milliseconds, unless it failed: then it may never.
const (
	closeTimeout       = 10 * time.Second
	closeFailedTimeout = time.Second
)

// Start starts a new, empty store and returns when it serves.
func Start(ctx context.Context, o ServerOptions) (*Server, error) {
	s := &Server{done: make(chan struct{}), admitted: make(map[string]*admission)}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start store: %w", err), s.Close())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, o ServerOptions) error {
	if info, err := os.Stat(o.Dir); err != nil {
		return err
	} else if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is open to others (%v): make it 0700", o.Dir, info.Mode().Perm())
	}
	var err error
	if s.authority = o.Authority; s.authority == nil {
		if s.authority, err = NewAuthority(); err != nil {
			return err
		}
	}
	streams, cancel := context.WithCancel(context.Background())
	s.streams = cancel
	logger := newZap(o.Log, func(message string) { s.end(errors.New("store failed: " + message)) })
	config, err := serverConfig(streams, o, s.authority, logger)
	if err != nil {
		return err
	}
	if err := s.embed(ctx, config); err != nil {
		return err
	}
	go s.watch()
	if s.network, s.address, err = listening(config); err != nil {
		return err
	}
	return s.enableAuth(ctx, o.Log)
}

// embed starts etcd in a goroutine of its own, for a fatal error ends that, and waits until it
// serves.
func (s *Server) embed(ctx context.Context, config *embed.Config) error {
	started := make(chan error, 1)
	go func() {
		defer close(started)
		e, err := embed.StartEtcd(config)
		s.embedded = e
		started <- err
	}()
	if err, ok := <-started; err != nil {
		return err
	} else if !ok {
		return s.Err()
	}
	select {
	case <-s.embedded.Server.ReadyNotify():
		return nil
	case <-s.done:
		return s.Err()
	case err := <-s.embedded.Err():
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
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

// end says that the server has ended, once.
func (s *Server) end(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.done)
	})
}

// listening tells where a server with this configuration listens for clients.
func listening(config *embed.Config) (network, address string, err error) {
	u := config.ListenClientUrls[0]
	if u.Scheme != "unixs" {
		return "tcp", u.Host, nil
	}
	err = errors.Join(os.Chmod(u.Path, 0o600), os.Chmod(config.ListenClientHttpUrls[0].Path, 0o600))
	return "unix", u.Path, err
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

// Done is closed when the server has ended, by Close or by itself; Err then tells why.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns why the server ended by itself, if it did.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Close ends the server. Its Dir stays for the caller to remove.
func (s *Server) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.end(nil)
	if s.root != nil {
		_ = s.root.Close() // it reports that it was closed
	}
	if s.streams != nil {
		s.streams()
	}
	if s.embedded == nil {
		return nil
	}
	timeout := closeTimeout
	if s.Err() != nil {
		timeout = closeFailedTimeout
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.embedded.Close()
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(timeout):
		return fmt.Errorf("close store: not ended after %v", timeout)
	}
}
