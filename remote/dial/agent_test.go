package dial_test

import (
	"net"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"spore/internal/sshtest"
)

// agent serves an ssh-agent with n keys at SSH_AUTH_SOCK.
func (u *user) agent(n int) []ssh.Signer {
	u.t.Helper()
	var signers []ssh.Signer
	ring := agent.NewKeyring()
	for range n {
		private, signer := newPrivate(u.t)
		if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
			u.t.Fatal(err)
		}
		signers = append(signers, signer)
	}
	socket := filepath.Join(u.home, "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		u.t.Fatal(err)
	}
	u.env["SSH_AUTH_SOCK"] = socket
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { _ = agent.ServeAgent(ring, c); _ = c.Close() })
		}
	})
	u.t.Cleanup(func() { _ = l.Close(); wg.Wait() }) // hangs if a connection is left open
	return signers
}

func TestAgent(t *testing.T) {
	u := newUser(t)
	held := u.agent(3)
	s := start(t, sshtest.Options{AuthorizedKeys: keys(held[2])})
	u.trust(s)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := u.dial("me@" + s.Addr()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// Hosts hang up after a few keys, so the order in which many are offered decides.
func TestManyKeysInTheAgent(t *testing.T) {
	u := newUser(t)
	held := u.agent(12)
	last := held[11]
	s := start(t, sshtest.Options{AuthorizedKeys: keys(last)})
	u.trust(s)
	u.authError("me@"+s.Addr(), "allows no further attempt", "IdentitiesOnly")

	// The public half of the one wanted is enough to put it first.
	u.write("wanted.pub", authorizedLine(last.PublicKey()))
	for _, config := range []string{
		"IdentityFile ~/.ssh/wanted\n",
		"IdentityFile ~/.ssh/wanted.pub\nIdentitiesOnly yes\n",
	} {
		v := u.again()
		v.write("config", config)
		v.mustDial("me@" + s.Addr())
	}

	v := u.again()
	_, other := newPrivate(t)
	v.write("other.pub", authorizedLine(other.PublicKey()))
	v.write("config", "IdentityFile ~/.ssh/other\nIdentitiesOnly yes\n")
	v.authError("me@"+s.Addr(), "~/.ssh/other is neither there nor in ssh-agent")
}

// A named file comes before what else the agent holds, and a key the agent holds needs no
// passphrase though its file is encrypted.
func TestAgentAndFiles(t *testing.T) {
	u := newUser(t)
	u.agent(12)
	s := start(t, sshtest.Options{AuthorizedKeys: keys(u.key("mine"))})
	u.trust(s)
	u.write("config", "IdentityFile ~/.ssh/mine\n")
	u.mustDial("me@" + s.Addr())

	v := newUser(t)
	held := v.agent(1)
	s = start(t, sshtest.Options{AuthorizedKeys: keys(held[0])})
	v.trust(s)
	v.write("mine", "encrypted, and never read in this test as the public half is known")
	v.write("mine.pub", authorizedLine(held[0].PublicKey()))
	chmod(v, "mine", 0o600)
	v.write("config", "IdentityFile ~/.ssh/mine.pub\n")
	v.mustDial("me@" + s.Addr())
}
