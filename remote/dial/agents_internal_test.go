package dial

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh/agent"
)

func TestAgentConnectionIsSharedAndClosed(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { served <- agent.ServeAgent(agent.NewKeyring(), c) }()
		}
	}()
	a := newAgents()
	_, first, err := a.signers(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := a.signers(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	if n := a.open[socket].uses; n != 2 {
		t.Errorf("one connection has %d uses, want 2", n)
	}
	first()
	first() // counts once
	if len(a.open) != 1 {
		t.Error("closed while it was in use")
	}
	second()
	if err := <-served; !errors.Is(err, io.EOF) {
		t.Errorf("the connection ended with %v", err)
	}
	if len(a.open) != 0 {
		t.Error("a closed connection is kept")
	}
}
