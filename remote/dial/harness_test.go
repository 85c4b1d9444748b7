package dial_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"spore/internal/sshtest"
	"spore/remote/dial"
)

// deadline bounds every wait of these tests; reaching it is a failure.
const deadline = time.Minute

// A user is a home directory with the Dialer that lives in it.
type user struct {
	t      *testing.T
	home   string
	env    map[string]string
	log    *syncBuffer
	dialer *dial.Dialer
}

func newUser(t *testing.T) *user {
	t.Helper()
	u := &user{t: t, home: t.TempDir(), env: map[string]string{}, log: new(syncBuffer)}
	u.dialer = &dial.Dialer{
		Home: u.home, System: filepath.Join(u.home, "etc"),
		Getenv: func(n string) string { return u.env[n] },
		Log:    slog.New(slog.NewTextHandler(u.log, nil)),
	}
	return u
}

// again is the same user in a new run.
func (u *user) again() *user {
	v := *u
	v.log = new(syncBuffer)
	v.dialer = &dial.Dialer{
		Home: u.home, System: u.dialer.System, Getenv: u.dialer.Getenv,
		Log: slog.New(slog.NewTextHandler(v.log, nil)),
	}
	return &v
}

// write puts text into a file of ~/.ssh and returns its path.
func (u *user) write(name, text string) string {
	u.t.Helper()
	path := filepath.Join(u.home, ".ssh", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
	return path
}

func (u *user) read(name string) string {
	u.t.Helper()
	b, err := os.ReadFile(filepath.Join(u.home, ".ssh", name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		u.t.Fatal(err)
	}
	return string(b)
}

// trust writes known_hosts for servers.
func (u *user) trust(servers ...*sshtest.Server) {
	u.t.Helper()
	var lines strings.Builder
	for _, s := range servers {
		lines.WriteString(s.KnownHostsLine())
	}
	u.write("known_hosts", lines.String())
}

// key makes a key file of ~/.ssh.
func (u *user) key(name string) ssh.Signer {
	u.t.Helper()
	private, signer := newPrivate(u.t)
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		u.t.Fatal(err)
	}
	u.write(name, string(pem.EncodeToMemory(block)))
	return signer
}

// sealedKey makes an encrypted key file of ~/.ssh, with its public half beside it. It is of an
// old format, which is quick to decrypt; OpenSSH's own is slow by design.
func (u *user) sealedKey(name, passphrase string) ssh.Signer {
	u.t.Helper()
	signer := u.oldSealedKey(name, passphrase)
	u.write(name+".pub", authorizedLine(signer.PublicKey()))
	return signer
}

func (u *user) oldSealedKey(name, passphrase string) ssh.Signer {
	u.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		u.t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		u.t.Fatal(err)
	}
	//lint:ignore SA1019 such keys still lie about in people's homes
	block, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", der, []byte(passphrase), x509.PEMCipherAES128)
	if err != nil {
		u.t.Fatal(err)
	}
	u.write(name, string(pem.EncodeToMemory(block)))
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		u.t.Fatal(err)
	}
	return signer
}

// modernSealedKey makes an encrypted key file as ssh-keygen does.
func (u *user) modernSealedKey(name, passphrase string) ssh.Signer {
	u.t.Helper()
	private, signer := newPrivate(u.t)
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(passphrase))
	if err != nil {
		u.t.Fatal(err)
	}
	u.write(name, string(pem.EncodeToMemory(block)))
	return signer
}

// dial connects to address and closes the connection with the test.
func (u *user) dial(address string) (*dial.Client, error) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), deadline)
	defer cancel()
	return u.dialCtx(ctx, address)
}

func (u *user) dialCtx(ctx context.Context, address string) (*dial.Client, error) {
	target, err := dial.Parse(address)
	if err != nil {
		return nil, err
	}
	c, err := u.dialer.Dial(ctx, target)
	if err == nil {
		u.t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

// mustDial connects and runs a command, so that the connection is known to work.
func (u *user) mustDial(address string) *dial.Client {
	u.t.Helper()
	c, err := u.dial(address)
	if err != nil {
		u.t.Fatalf("dial %s: %v\nlog: %s", address, err, u.log)
	}
	s, err := c.NewSession()
	if err != nil {
		u.t.Fatal(err)
	}
	defer s.Close()
	if out, err := s.Output("echo fine"); err != nil || string(out) != "fine\n" {
		_, _, alive := c.SendRequest("keepalive@openssh.com", true, nil)
		u.t.Fatalf("run on %s: %q, %v; asked for a sign of life: %v", address, out, err, alive)
	}
	return c
}

// authError dials and wants to be refused.
func (u *user) authError(address string, want ...string) *dial.AuthError {
	u.t.Helper()
	_, err := u.dial(address)
	return wantError[*dial.AuthError](u.t, err, false, want...)
}

// wantError wants err to be an E, to be worth another try or not, and to say every word.
func wantError[E error](t *testing.T, err error, temporary bool, words ...string) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("error %v is not a %T", err, e)
	}
	if dial.Temporary(err) != temporary {
		t.Errorf("%v: temporary is %v, want %v", err, !temporary, temporary)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q lacks %q", err, w)
		}
	}
	return e
}

func start(t *testing.T, opts sshtest.Options) *sshtest.Server {
	t.Helper()
	opts.Dir = t.TempDir()
	s, err := sshtest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func keys(signers ...ssh.Signer) []ssh.PublicKey {
	list := make([]ssh.PublicKey, len(signers))
	for i, s := range signers {
		list[i] = s.PublicKey()
	}
	return list
}

func port(s *sshtest.Server) string {
	_, p, _ := net.SplitHostPort(s.Addr())
	return p
}

// certify signs key with ca.
func certify(t *testing.T, ca ssh.Signer, key ssh.PublicKey, kind uint32, until time.Time, principals ...string) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{
		Key: key, CertType: kind, KeyId: "test", ValidPrincipals: principals,
		ValidAfter: 1, ValidBefore: uint64(until.Unix()),
	}
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return c
}

func authorizedLine(k ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(k)) }

// prompts is a Prompter that answers from a function and counts.
type prompts struct {
	answer func(q dial.Question, n int) (string, error)

	mu    sync.Mutex
	asked []dial.Question
	open  int
}

func (p *prompts) Prompt(ctx context.Context, q dial.Question) (string, error) {
	p.mu.Lock()
	p.asked = append(p.asked, q)
	n := len(p.asked)
	p.open++
	if p.open > 1 {
		p.mu.Unlock()
		return "", errors.New("two questions at a time")
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.open--
		p.mu.Unlock()
	}()
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return p.answer(q, n)
}

func (p *prompts) questions() []dial.Question {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]dial.Question(nil), p.asked...)
}

// always answers every question alike.
func always(text string) *prompts {
	return &prompts{answer: func(dial.Question, int) (string, error) { return text, nil }}
}

// inTurn answers with one text after another.
func inTurn(texts ...string) *prompts {
	return &prompts{answer: func(_ dial.Question, n int) (string, error) {
		if n > len(texts) {
			return "", errors.New("asked too often")
		}
		return texts[n-1], nil
	}}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
