package remote

import (
	"io"
	"sync"
)

// stdin is a command's, which may be ended while it is being written to: the SSH library's may not.
// It takes one writer at a time.
type stdin struct {
	w io.WriteCloser

	mu             sync.Mutex
	writing, ended bool
}

// Write implements io.Writer.
func (s *stdin) Write(p []byte) (int, error) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	s.writing = true
	s.mu.Unlock()
	n, err := s.w.Write(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	if s.ended {
		s.w.Close()
	}
	return n, err
}

// end closes it, at once or when what is being written has been. It does not wait.
func (s *stdin) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	if !s.writing {
		s.w.Close()
	}
}
