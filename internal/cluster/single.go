package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"spore/remote"
)

// A single is a connection for one client that is to have no other: when it breaks that is the end,
// and why it broke is kept.
type single struct {
	net.Conn
	broke func() // called when it has broken

	mu     sync.Mutex
	taken  bool
	heard  bool  // something came
	closed bool  // by the client
	err    error // why it broke
}

var (
	errBroke   = errors.New("the connection broke")
	errForeign = errors.New("what answers there is no store of this cluster")
)

// dial returns the connection, once.
func (s *single) dial(context.Context) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken {
		if s.err == nil && s.heard { // the client did not like what it heard
			s.err = errForeign
		}
		s.broke()
		return nil, errBroke
	}
	s.taken = true
	return s, nil
}

// Read implements net.Conn.
func (s *single) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.note(n, err)
	return n, err
}

// Close implements net.Conn.
func (s *single) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.Conn.Close()
}

// Write implements net.Conn. What comes of a program on a host is known by who reads from it.
func (s *single) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	if err != nil {
		var last [1]byte
		_, _ = s.Read(last[:])
	}
	return n, err
}

func (s *single) note(n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = s.heard || n > 0
	if err != nil && s.err == nil && !s.closed {
		s.err = err
		s.broke()
	}
}

// reason is why a client of the connection failed with err: what the host says of it is better.
func (s *single) reason(err error) error {
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var said *remote.ProgramError
	switch {
	case errors.As(s.err, &said):
		return said
	case errors.Is(s.err, errForeign):
		return errForeign
	case s.err != nil:
		return fmt.Errorf("%w: %w", errBroke, s.err)
	}
	return err
}
