package cluster

import (
	"context"
	"io"
	"net"

	"spore/remote"
)

// An sshConn is a remote.Conn whose streams end for their reader when they are closed, and not just
// when the host has closed its end too: a program that does not look at its input takes its time.
type sshConn struct{ *remote.Conn }

// Stream implements Conn.
func (c sshConn) Stream(ctx context.Context, argv ...string) (net.Conn, error) {
	s, err := c.Conn.Stream(ctx, argv...)
	if err != nil {
		return nil, err
	}
	return promptly(s), nil
}

type promptConn struct {
	net.Conn
	in *io.PipeReader
}

// promptly returns c as a connection whose Close ends what reads from it.
func promptly(c net.Conn) net.Conn {
	in, from := io.Pipe()
	go func() {
		_, err := io.Copy(from, c)
		_ = from.CloseWithError(err) // nil is its end
	}()
	return &promptConn{c, in}
}

func (c *promptConn) Read(b []byte) (int, error) { return c.in.Read(b) }

func (c *promptConn) Close() error {
	_ = c.in.CloseWithError(net.ErrClosed)
	return c.Conn.Close()
}
