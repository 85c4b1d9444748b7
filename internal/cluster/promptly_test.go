package cluster

import (
	"errors"
	"io"
	"net"
	"testing"

	"spore/remote"
)

// A deafConn is closed on one end only: what reads from it goes on.
type deafConn struct{ net.Conn }

func (deafConn) Close() error { return nil }

func TestACloseEndsARead(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := promptly(deafConn{ours})
	go theirs.Write([]byte("hello"))
	got := make([]byte, 8)
	if n, err := c.Read(got); err != nil || string(got[:n]) != "hello" {
		t.Fatalf("read %q (%v)", got, err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := c.Read(got)
		ended <- err
	}()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("something was read after the close")
		}
	case <-bounded(t).Done():
		t.Error("it still reads")
	}
}

// The end of a stream, and what a host says of it, come through.
func TestPromptStreamsEnd(t *testing.T) {
	ours, theirs := net.Pipe()
	go theirs.Close()
	if rest, err := io.ReadAll(promptly(ours)); err != nil || len(rest) != 0 {
		t.Errorf("read %q (%v)", rest, err)
	}
	said := &remote.ProgramError{Program: "x", Code: -1}
	if _, err := io.ReadAll(promptly(&brokenConn{err: said})); !errors.Is(err, said) {
		t.Errorf("got %v", err)
	}
}
