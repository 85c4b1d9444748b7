package dial_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

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
	u.serveAgent(ring)
	return signers
}

// serveAgent serves a at SSH_AUTH_SOCK.
func (u *user) serveAgent(a agent.Agent) {
	u.t.Helper()
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
			wg.Go(func() { _ = agent.ServeAgent(a, c); _ = c.Close() })
		}
	})
	u.t.Cleanup(func() { _ = l.Close(); wg.Wait() }) // hangs if a connection is left open
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

// A certificate that the agent holds is one, also to those who sort keys out by their kind.
func TestCertificateInTheAgent(t *testing.T) {
	private, signer := newPrivate(t)
	_, ca := newPrivate(t)
	ring := agent.NewKeyring()
	err := ring.Add(agent.AddedKey{
		PrivateKey:  private,
		Certificate: certify(t, ca, signer.PublicKey(), ssh.UserCert, time.Now().Add(time.Hour), "me"),
	})
	if err != nil {
		t.Fatal(err)
	}
	u := newUser(t)
	u.serveAgent(ring)
	s := start(t, sshtest.Options{UserCA: ca.PublicKey()})
	u.trust(s)
	u.write("id_step.pub", authorizedLine(signer.PublicKey()))
	for _, config := range []string{
		"PubkeyAcceptedAlgorithms ssh-ed25519-cert-v01@openssh.com\n",
		"IdentityFile ~/.ssh/id_step\nIdentitiesOnly yes\n",
	} {
		v := u.again()
		v.write("config", config)
		v.mustDial("me@" + s.Addr())
	}
}

func TestShortKeyInTheAgent(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	u := newUser(t)
	u.serveAgent(ring)
	_, other := newPrivate(t)
	s := start(t, sshtest.Options{AuthorizedKeys: keys(other)})
	u.trust(s)
	u.write("config", "RequiredRSASize 3072\n")
	u.authError("me@"+s.Addr(), "RequiredRSASize forbids it")
}

// tokens is an agent that holds a key on a token, which it asks to sign if it has it.
type tokens struct {
	agent.Agent
	public  ssh.PublicKey
	private ed25519.PrivateKey // nil if the token is not there
}

const tokenType, tokenUse = "sk-ssh-ed25519@openssh.com", "ssh:"

func newToken(t *testing.T) *tokens {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type   string
		Public []byte
		Use    string
	}{tokenType, public, tokenUse}))
	if err != nil {
		t.Fatal(err)
	}
	return &tokens{Agent: agent.NewKeyring(), public: key, private: private}
}

func (a *tokens) List() ([]*agent.Key, error) {
	unheard := ssh.Marshal(struct{ Type, Public string }{"ssh-xmss@openssh.com", "?"})
	return []*agent.Key{
		{Format: "ssh-xmss@openssh.com", Blob: unheard},
		{Format: tokenType, Blob: a.public.Marshal()},
	}, nil
}

func (a *tokens) Sign(_ ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	if a.private == nil {
		return nil, errors.New("no token")
	}
	use, message := sha256.Sum256([]byte(tokenUse)), sha256.Sum256(data)
	touched := []byte{1, 0, 0, 0, 7}
	return &ssh.Signature{
		Format: tokenType, Rest: touched,
		Blob: ed25519.Sign(a.private, slices.Concat(use[:], touched, message[:])),
	}, nil
}

// The file of a key on a token names it, though only the agent can use it.
func TestKeyOnAToken(t *testing.T) {
	token := newToken(t)
	u := newUser(t)
	u.serveAgent(token)
	s := start(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{token.public}})
	u.trust(s)
	u.write("id_ed25519_sk", "a handle that only the token can read")
	u.write("id_ed25519_sk.pub", authorizedLine(token.public))
	u.write("config", "IdentityFile ~/.ssh/id_ed25519_sk\nIdentitiesOnly yes\n")
	u.mustDial("me@" + s.Addr())

	v := newUser(t)
	v.serveAgent(&tokens{Agent: token.Agent, public: token.public})
	v.trust(s)
	v.authError("me@"+s.Addr(), "ssh-agent did not sign with key "+ssh.FingerprintSHA256(token.public), "is not offered")
}
