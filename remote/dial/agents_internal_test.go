package dial

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// Whoever takes connections and answers nothing, as an agent that was suspended, holds up nobody.
func TestSilentAgentIsGivenUp(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := newAgents()
	a.limit = 10 * time.Millisecond
	if _, _, err = a.signers(t.Context(), socket); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("error %v, want a timeout", err)
	}
	if len(a.open) != 0 {
		t.Error("a connection that failed is kept")
	}
}

func TestWantsPassword(t *testing.T) {
	for text, want := range map[string]bool{
		"Password: ": true, "password for me:": true, "me@host's password: ": true, "LDAP Password:": true,
		"One-time password (OATH) for `me':": false, "New password: ": false, "Retype new password: ": false,
		"Current password:": false, "(current) UNIX password: ": false, "Code:": false, "": false,
	} {
		if wantsPassword(text) != want {
			t.Errorf("%q: %v, want %v", text, !want, want)
		}
	}
}
