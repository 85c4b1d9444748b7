package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	samePort  = 5 * time.Second // how long to ask for the port of before: an old sshd may still hold it
	dialStore = 10 * time.Second
)

// A tunnel gives the connections that the host makes to the store.
type tunnel interface {
	Accept() (net.Conn, error)
	Close() error
}

// openTunnel offers the store on the host by the first way that it permits: a Unix socket or a
// loopback port forwarded by sshd, else a helper's stdin and stdout, once the executable is
// installed. It returns the address on the host.
func (s *Session) openTunnel(ctx context.Context, h *host, p *place, installed <-chan struct{}) (tunnel, string, error) {
	if h.foreign() {
		return s.openForeign(ctx, h, p, installed)
	}
	l, errUnix := h.client.ListenUnix(p.store())
	if errUnix == nil {
		return l, "unix://" + p.store(), nil
	}
	t, store, err := s.openPort(ctx, h)
	if err == nil {
		return t, store, nil
	}
	if h.gone() {
		return nil, "", errDropped
	}
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	denied := errors.New("sshd forwards neither a socket (AllowStreamLocalForwarding) nor a port (AllowTcpForwarding)")
	if s.o.Bridge == nil {
		return nil, "", denied
	}
	t, store, err = s.openHelper(ctx, h, p, installed)
	if err != nil {
		return nil, "", fmt.Errorf("%w, and over stdin and stdout: %w", denied, err)
	}
	return t, store, nil
}

// openHelper offers the store over a helper's stdin and stdout.
func (s *Session) openHelper(ctx context.Context, h *host, p *place, installed <-chan struct{}) (tunnel, string, error) {
	select {
	case <-installed:
	case <-ctx.Done():
		return nil, "", context.Cause(ctx)
	}
	b, err := s.openBridge(ctx, h, s.o.Bridge(Paths{Binary: p.path, Run: p.run, Store: "unix://" + p.store()}))
	if err != nil {
		return nil, "", err
	}
	return b, "unix://" + p.store(), nil
}

// openPort offers the store on a loopback port.
func (s *Session) openPort(ctx context.Context, h *host) (tunnel, string, error) {
	t, port, err := s.listenTCP(ctx, h)
	if err != nil {
		return nil, "", err
	}
	return t, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), nil
}

// listenTCP asks for a loopback port, after a reconnection for the one of before, which the
// agent knows.
func (s *Session) listenTCP(ctx context.Context, h *host) (net.Listener, int, error) {
	until := time.Now().Add(samePort)
	retry := backoff{}
	for s.port != 0 {
		l, err := h.client.ListenTCP(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.port})
		if err == nil {
			return l, s.port, nil
		}
		if time.Now().After(until) || !retry.wait(ctx, h.dead) {
			break
		}
	}
	l, err := h.client.ListenTCP(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if s.port != 0 {
		s.warn("the host's port %d for the store is no longer to be had: it is %d now", s.port, port)
	}
	s.port = port
	return l, port, nil
}

// maxCarried is how many connections of a host are carried at once. An agent needs one, and one more
// while it connects anew.
const maxCarried = 32

// carry joins every connection of t with one to the store until t is closed; then it cuts them
// all and returns. Those beyond maxCarried are closed at once.
func (s *Session) carry(t tunnel) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxCarried)
	for {
		far, err := t.Accept()
		if err != nil {
			break
		}
		select {
		case slots <- struct{}{}:
		default:
			far.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			defer far.Close()
			dialing, done := context.WithTimeout(ctx, dialStore)
			near, err := s.o.Dial(dialing)
			done()
			if err != nil {
				if ctx.Err() == nil {
					s.warn("connect to the store for the host: %v", err)
				}
				return
			}
			pipe(ctx, near, far, &s.sent)
		})
	}
	cancel()
	wg.Wait()
}

// pipe copies both ways until both ends are done, one of them breaks, or ctx ends, and closes
// both. The end of one direction is passed on and leaves the other open. sent counts what goes
// to far.
func pipe(ctx context.Context, near, far net.Conn, sent *atomic.Int64) {
	shut := sync.OnceFunc(func() {
		near.Close()
		far.Close()
	})
	stop := context.AfterFunc(ctx, shut)
	defer stop()
	defer shut()
	var wg sync.WaitGroup
	half := func(dst, src net.Conn, count *atomic.Int64) {
		n, err := io.Copy(dst, src)
		if count != nil {
			count.Add(n)
		}
		if err != nil || closeWrite(dst) != nil {
			shut()
		}
	}
	wg.Go(func() { half(far, near, sent) })
	wg.Go(func() { half(near, far, nil) })
	wg.Wait()
}

// closeWrite tells the other side that nothing more comes; a connection that cannot say so is closed.
func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Close()
}
