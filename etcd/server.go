package etcd

import (
	"context"
	"errors"
	"log/slog"
	"net"
)

// ServerOptions are the settings of a Server.
type ServerOptions struct {
	Dir    string // private to the user (0700) and made by the caller; holds data, keys and the socket
	Log    *slog.Logger
	NoSync bool // do not wait for the disk: only where losing everything in a crash is right
}

// A Server is an etcd in this process, of which nobody without a certificate of its own authority
// gets an answer.
type Server struct {
	done chan struct{}
}

// Start starts a new, empty store and returns when it serves.
func Start(ctx context.Context, o ServerOptions) (*Server, error) {
	return nil, errors.New("start store: being written")
}

// Dial opens a connection to the listener, for a tunnel to carry.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) { return nil, s.Err() }

// Endpoint is where clients on this machine reach the server.
func (s *Server) Endpoint() string { return "" }

// Admin returns the operator's credentials.
func (s *Server) Admin() Credentials { return Credentials{} }

// Grants are what a host may do beside reading its graph and writing its own report.
type Grants struct {
	Exports  []string // kinds it may export
	Collects []string // kinds of which it may read all exports
	Keys     []string // values it may read and write
}

// Admit makes host a user of the store with these grants and returns its credentials. Called again
// it changes the grants and returns the same credentials; kinds once granted for export stay so,
// for the host has to withdraw what it exported.
func (s *Server) Admit(ctx context.Context, host string, g Grants) (Credentials, error) {
	return Credentials{}, s.Err()
}

// Done is closed when the server has ended, by Close or by itself; Err then tells why.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns why the server ended by itself, if it did.
func (s *Server) Err() error { return nil }

// Close ends the server. Its Dir stays for the caller to remove.
func (s *Server) Close() error { return nil }
