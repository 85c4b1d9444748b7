package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"
)

const (
	bridgeHello  = "spore-bridge-1" // the line after which a bridge's stdout is its own
	maxHello     = 64 << 10         // bytes that may come in front of it
	bridgeOpens  = 30 * time.Second
	halfOpenTime = time.Minute // how long a stream that one side has closed is kept for the other
)

// ServeBridge is the host's half of a tunnel for hosts whose sshd forwards nothing. It listens on
// a Unix socket, which it makes (0600, in place of whatever is there) and removes, and carries
// every connection over stdio until ctx ends or stdio does.
func ServeBridge(ctx context.Context, socket string, stdio io.ReadWriteCloser) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("serve bridge: %w", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("serve bridge: %w", err)
	}
	defer l.Close()
	if err := os.Chmod(socket, 0o600); err != nil {
		return fmt.Errorf("serve bridge: %w", err)
	}
	if _, err := io.WriteString(stdio, "\n"+bridgeHello+"\n"); err != nil {
		return fmt.Errorf("serve bridge: %w", err)
	}
	mux, err := yamux.Client(stdio, muxConfig())
	if err != nil {
		return fmt.Errorf("serve bridge: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		l.Close()
		mux.Close()
	})
	defer stop()
	go func() {
		<-mux.CloseChan()
		cancel()
	}()
	serveStreams(ctx, l, mux)
	return nil
}

func serveStreams(ctx context.Context, l net.Listener, mux *yamux.Session) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer near.Close()
			stream, err := mux.OpenStream()
			if err != nil {
				return
			}
			pipe(ctx, near, muxConn{stream}, new(atomic.Int64))
		})
	}
}

func muxConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.EnableKeepAlive = false // the SSH connection has its own
	c.StreamCloseTimeout = halfOpenTime
	c.LogOutput = io.Discard
	return c
}

// A muxConn makes a connection of a stream, whose own Close closes only our direction.
type muxConn struct{ *yamux.Stream }

func (c muxConn) CloseWrite() error { return c.Stream.Close() }

func (c muxConn) Close() error {
	return errors.Join(c.Stream.Close(), c.Stream.SetReadDeadline(time.Unix(1, 0)))
}

// A bridge is the initiator's half: it accepts the streams that the helper opens.
type bridge struct {
	mux   *yamux.Session
	close func()
}

// openBridge starts the helper and waits for its hello.
func (s *Session) openBridge(ctx context.Context, h *host, argv []string) (*bridge, error) {
	cmd, err := h.command(ctx, argv...)
	if err != nil {
		return nil, err
	}
	unpin := h.pin(cmd.sessions)
	end := func() {
		cmd.free()
		unpin()
	}
	stop := context.AfterFunc(ctx, cmd.free)
	defer stop()
	timer := time.AfterFunc(bridgeOpens, cmd.free)
	defer timer.Stop()
	stream, err := awaitHello(cmd)
	if err != nil {
		end()
		return nil, err
	}
	mux, err := yamux.Server(stream, muxConfig())
	if err != nil {
		end()
		return nil, err
	}
	return &bridge{mux: mux, close: end}, nil
}

func awaitHello(cmd *command) (io.ReadWriteCloser, error) {
	go io.Copy(io.Discard, cmd.errs)
	r := bufio.NewReader(cmd.out)
	for read := 0; read < maxHello; {
		text, err := r.ReadString('\n')
		if strings.TrimRight(text, "\r\n") == bridgeHello {
			return helperStream{r, cmd}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the helper on the host ended early: %w", err)
		}
		read += len(text)
	}
	return nil, errors.New("the host prints too much in front of the helper's own output")
}

func (b *bridge) Accept() (net.Conn, error) {
	stream, err := b.mux.AcceptStream()
	if err != nil {
		return nil, err
	}
	return muxConn{stream}, nil
}

func (b *bridge) Close() error {
	err := b.mux.Close()
	b.close()
	return err
}

// A helperStream is the helper's stdout and stdin.
type helperStream struct {
	io.Reader
	cmd *command
}

func (h helperStream) Write(p []byte) (int, error) { return h.cmd.in.Write(p) }

func (h helperStream) Close() error {
	err := h.cmd.in.Close()
	h.cmd.free()
	return err
}
