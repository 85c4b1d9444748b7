package dial

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// A stream is a connection that knows when it last heard from its peer, and what broke it.
type stream struct {
	net.Conn
	epoch  time.Time
	heard  atomic.Int64 // nanoseconds after epoch
	broken atomic.Pointer[error]
}

func newStream(c net.Conn) *stream { return &stream{Conn: c, epoch: time.Now()} }

// Read implements net.Conn.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if n > 0 {
		s.heard.Store(int64(time.Since(s.epoch)))
	}
	s.mark(err)
	return n, err
}

// Write implements net.Conn.
func (s *stream) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	s.mark(err)
	return n, err
}

func (s *stream) mark(err error) {
	if err != nil {
		s.broken.CompareAndSwap(nil, &err)
	}
}

// failure is the first error of the stream, io.EOF included, or nil while it works.
func (s *stream) failure() error {
	if err := s.broken.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *stream) silence() time.Duration {
	return time.Since(s.epoch) - time.Duration(s.heard.Load())
}

// keepAlive asks the host for a sign of life whenever nothing has come from it for interval,
// and closes the connection when the last of limit requests has had interval to be answered.
// Any byte counts as life, so a long upload on a slow line is not mistaken for a dead one.
// interval 0 never asks. The returned stop may be called more than once.
func keepAlive(c *ssh.Client, s *stream, interval time.Duration, limit int) (stop func()) {
	if interval <= 0 {
		return func() {}
	}
	done := make(chan struct{})
	go watch(c, s, interval, limit, done)
	return sync.OnceFunc(func() { close(done) })
}

func watch(c *ssh.Client, s *stream, interval time.Duration, limit int, done <-chan struct{}) {
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for asked := 0; ; {
		select {
		case <-done:
			return
		case <-timer.C:
		}
		silence := s.silence()
		if due := time.Duration(asked+1) * interval; silence < interval {
			asked = 0
		} else if silence >= due {
			if asked == limit {
				_ = s.Close()
				return
			}
			asked++
			// On a dead line even sending can block, so not here.
			go func() { _, _, _ = c.SendRequest("keepalive@openssh.com", true, nil) }()
		}
		timer.Reset(time.Duration(asked+1)*interval - silence)
	}
}
