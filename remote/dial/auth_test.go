package dial_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
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

func newPrivate(t *testing.T) (crypto.PrivateKey, ssh.Signer) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return private, signer
}

func TestDefaultKeys(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ed, _ := newPrivate(t)
	for name, private := range map[string]crypto.Signer{"id_ed25519": ed.(ed25519.PrivateKey), "id_ecdsa": ec, "id_rsa": rs} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			signer, err := ssh.NewSignerFromSigner(private)
			if err != nil {
				t.Fatal(err)
			}
			block, err := ssh.MarshalPrivateKey(private, "")
			if err != nil {
				t.Fatal(err)
			}
			u.write(name, string(pem.EncodeToMemory(block)))
			s := start(t, sshtest.Options{AuthorizedKeys: keys(signer)})
			u.trust(s)
			u.mustDial("me@" + s.Addr())
		})
	}
}

func TestUsers(t *testing.T) {
	u := newUser(t)
	s := start(t, sshtest.Options{AuthorizedKeys: keys(u.key("id_ed25519")), User: "deploy"})
	u.trust(s)
	u.write("config", "Host w\n HostName 127.0.0.1\n Port "+port(s)+"\n User deploy\n")
	c := u.mustDial("w")
	if c.User() != "deploy" || c.Addr != s.Addr() || c.Target.Name() != "w" {
		t.Errorf("connected to %s at %s as %s", c.Target.Name(), c.Addr, c.User())
	}
	u.authError("root@w", "log in to w as root: refused", "key ~/.ssh/id_ed25519", "ssh -v -p "+port(s)+" root@127.0.0.1")
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	s := start(t, sshtest.Options{AuthorizedKeys: keys(newUser(t).key("x"))})
	for name, tc := range map[string]struct {
		prepare func(u *user)
		want    string
	}{
		"nothing at all":   {func(*user) {}, "load a key into ssh-agent"},
		"file is missing":  {func(u *user) { u.write("config", "IdentityFile ~/none\n") }, "none: no such file"},
		"file is not ours": {func(u *user) { u.key("id_ed25519"); chmod(u, "id_ed25519", 0o644) }, "chmod 600"},
		"not a key":        {func(u *user) { u.write("id_rsa", "nonsense") }, "id_rsa: ssh: no key found"},
		"agent is gone":    {func(u *user) { u.env["SSH_AUTH_SOCK"] = filepath.Join(u.home, "gone") }, "ask ssh-agent"},
		"no method":        {func(u *user) { u.write("config", "PubkeyAuthentication no\n") }, "the host accepts publickey only"},
		"type not allowed": {func(u *user) { u.key("id_ed25519"); u.write("config", "PubkeyAcceptedAlgorithms rsa-*\n") }, "PubkeyAcceptedAlgorithms"},
		"only the public half": {func(u *user) {
			u.write("only.pub", authorizedLine(u.key("gone").PublicKey()))
			u.write("config", "IdentityFile ~/.ssh/only\n")
		}, "~/.ssh/only is neither there nor in ssh-agent"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			u.trust(s)
			tc.prepare(u)
			u.authError("me@"+s.Addr(), tc.want)
		})
	}
}

func chmod(u *user, name string, mode os.FileMode) {
	u.t.Helper()
	if err := os.Chmod(filepath.Join(u.home, ".ssh", name), mode); err != nil {
		u.t.Fatal(err)
	}
}

// One passphrase serves the whole fleet, however many hosts want it at once.
func TestPassphraseOncePerFleet(t *testing.T) {
	u := newUser(t)
	key := u.sealedKey("id_ed25519", "open sesame")
	servers := make([]*sshtest.Server, 5)
	for i := range servers {
		servers[i] = start(t, sshtest.Options{AuthorizedKeys: keys(key)})
	}
	u.trust(servers...)
	p := inTurn("wrong", "open sesame")
	u.dialer.Prompt = p
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			if _, err := u.dial("me@" + servers[i%5].Addr()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	asked := p.questions()
	if len(asked) != 2 {
		t.Fatalf("asked %d times: %v", len(asked), asked)
	}
	if q := asked[0]; q.Echo || q.Text != "passphrase of ~/.ssh/id_ed25519" || !strings.HasPrefix(q.Host, "127.0.0.1:") {
		t.Errorf("asked %+v", q)
	}
	if q := asked[1]; !strings.Contains(q.Text, "does not fit") {
		t.Errorf("asked again %+v", q)
	}
}

func TestPassphraseFailures(t *testing.T) {
	u := newUser(t)
	key := u.sealedKey("id_ed25519", "open sesame")
	s := start(t, sshtest.Options{AuthorizedKeys: keys(key)})
	other := start(t, sshtest.Options{AuthorizedKeys: keys(newUser(t).key("x"))})
	u.trust(s, other)
	t.Run("no input", func(t *testing.T) {
		u.again().authError("me@"+s.Addr(), "id_ed25519 needs its passphrase", "--no-input")
	})
	t.Run("batch mode", func(t *testing.T) {
		v := u.again()
		p := always("open sesame")
		v.dialer.Prompt = p
		v.dialer.Config = u.write("batch", "BatchMode yes\n")
		v.authError("me@"+s.Addr(), "needs its passphrase", "BatchMode")
		if n := len(p.questions()); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
	t.Run("three wrong ones", func(t *testing.T) {
		v := u.again()
		p := inTurn("a", "b", "c")
		v.dialer.Prompt = p
		v.authError("me@"+s.Addr(), "no passphrase given fits")
		v.authError("me@"+s.Addr(), "no passphrase given fits") // and nobody is asked again
		if n := len(p.questions()); n != 3 {
			t.Errorf("asked %d times, want 3", n)
		}
	})
	t.Run("not asked for a key that the host refuses", func(t *testing.T) {
		v := u.again()
		p := always("open sesame")
		v.dialer.Prompt = p
		v.authError("me@"+other.Addr(), "refused")
		if n := len(p.questions()); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
}

// Keys encrypted the old way do not show their public half, so the passphrase comes first.
func TestOldEncryptedKey(t *testing.T) {
	u := newUser(t)
	signer := u.oldSealedKey("id_rsa", "pw")
	s := start(t, sshtest.Options{AuthorizedKeys: keys(signer)})
	u.trust(s)
	p := inTurn("pw")
	u.dialer.Prompt = p
	u.mustDial("me@" + s.Addr())
	u.mustDial("me@" + s.Addr())
}

// Two keys behind one passphrase: it is asked for once.
// A wrong passphrase that happens to leave the padding whole is a wrong passphrase.
func TestOldEncryptedKeyAndLuck(t *testing.T) {
	u := newUser(t)
	key := u.oldSealedKey("id_ed25519", "open sesame")
	s := start(t, sshtest.Options{AuthorizedKeys: keys(key)})
	u.trust(s)
	block, _ := pem.Decode([]byte(u.read("id_ed25519")))
	wrong := ""
	for i := 0; ; i++ {
		wrong = fmt.Sprint("wrong ", i)
		//lint:ignore SA1019 such keys still lie about in people's homes
		if _, err := x509.DecryptPEMBlock(block, []byte(wrong)); err == nil {
			break
		}
	}
	p := inTurn(wrong, "open sesame")
	u.dialer.Prompt = p
	u.mustDial("me@" + s.Addr())
	if n := len(p.questions()); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestPassphraseServesOtherKeys(t *testing.T) {
	u := newUser(t)
	first := start(t, sshtest.Options{AuthorizedKeys: keys(u.sealedKey("id_ed25519", "pw"))})
	second := start(t, sshtest.Options{AuthorizedKeys: keys(u.sealedKey("id_ecdsa", "pw"))})
	u.trust(first, second)
	u.dialer.Prompt = inTurn("pw")
	u.mustDial("me@" + first.Addr())
	u.mustDial("me@" + second.Addr())
}

func TestUserCertificates(t *testing.T) {
	_, ca := newPrivate(t)
	s := start(t, sshtest.Options{UserCA: ca.PublicKey()})
	later := time.Now().Add(time.Hour)
	t.Run("beside the key", func(t *testing.T) {
		u := newUser(t)
		u.trust(s)
		key := u.key("id_ed25519")
		u.write("id_ed25519-cert.pub", authorizedLine(certify(t, ca, key.PublicKey(), ssh.UserCert, later, "me")))
		u.mustDial("me@" + s.Addr())
		u.authError("you@"+s.Addr(), "certificate id_ed25519-cert.pub")
	})
	t.Run("CertificateFile, key in the agent", func(t *testing.T) {
		u := newUser(t)
		u.trust(s)
		key := u.agent(1)[0]
		u.write("my.crt", authorizedLine(certify(t, ca, key.PublicKey(), ssh.UserCert, later, "me")))
		u.write("config", "CertificateFile ~/.ssh/my.crt\n")
		u.mustDial("me@" + s.Addr())
	})
	t.Run("encrypted key", func(t *testing.T) {
		u := newUser(t)
		u.trust(s)
		key := u.sealedKey("id_ed25519", "pw")
		u.write("id_ed25519-cert.pub", authorizedLine(certify(t, ca, key.PublicKey(), ssh.UserCert, later, "me")))
		u.dialer.Prompt = inTurn("pw")
		u.mustDial("me@" + s.Addr())
	})
	t.Run("expired", func(t *testing.T) {
		u := newUser(t)
		u.trust(s)
		key := u.key("id_ed25519")
		u.write("id_ed25519-cert.pub", authorizedLine(certify(t, ca, key.PublicKey(), ssh.UserCert, time.Unix(2, 0), "me")))
		u.authError("me@" + s.Addr())
	})
	t.Run("for no key at hand", func(t *testing.T) {
		u := newUser(t)
		u.trust(s)
		_, key := newPrivate(t)
		u.write("my.crt", authorizedLine(certify(t, ca, key.PublicKey(), ssh.UserCert, later, "me")))
		u.write("config", "CertificateFile ~/.ssh/my.crt\n")
		u.authError("me@"+s.Addr(), "my.crt is for a key that is not at hand")
	})
}

// What a host says to all the world is not repeated; what it says of a refusal is, without what
// could steer a terminal.
func TestTheHostSaysWhy(t *testing.T) {
	u := newUser(t)
	u.key("id_ed25519")
	_, other := newPrivate(t)
	s := start(t, sshtest.Options{
		AuthorizedKeys: keys(other), Banner: "private property\n", Refusal: "Your account\x1b[31m has expired.\r\n",
	})
	u.trust(s)
	e := u.authError("me@"+s.Addr(), "the host says: Your account[31m has expired.")
	if strings.Contains(e.Error(), "property") {
		t.Error(e)
	}
}

func TestPasswordInAddress(t *testing.T) {
	u := newUser(t)
	s := start(t, sshtest.Options{Password: "pw-secret"})
	u.trust(s)
	u.mustDial("ssh://me:pw-secret@" + s.Addr())
	u.mustDial("ssh://me:pw-secret@" + s.Addr())
	if strings.Count(u.log.String(), "stands in its address") != 1 || strings.Contains(u.log.String(), "secret") {
		t.Errorf("log: %s", u.log)
	}
	u.authError("ssh://me:wrong-secret@"+s.Addr(), "tried password", "a password is needed", "--no-input")
}

func TestPasswordPrompt(t *testing.T) {
	t.Run("one answer for all hosts", func(t *testing.T) {
		u := newUser(t)
		servers := make([]*sshtest.Server, 4)
		for i := range servers {
			// Some hosts ask by way of PAM.
			servers[i] = start(t, sshtest.Options{Password: "pw"})
			if i%2 == 1 {
				servers[i] = start(t, sshtest.Options{Questions: []sshtest.Question{{Text: "Password: ", Answer: "pw"}}})
			}
		}
		u.trust(servers...)
		p := inTurn("pw")
		u.dialer.Prompt = p
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if _, err := u.dial("me@" + servers[i%4].Addr()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if asked := p.questions(); len(asked) != 1 || asked[0].Text != "password for me" || asked[0].Echo {
			t.Errorf("asked %+v", asked)
		}
	})
	t.Run("another host, another password", func(t *testing.T) {
		u := newUser(t)
		first, second := start(t, sshtest.Options{Password: "one"}), start(t, sshtest.Options{Password: "two"})
		u.trust(first, second)
		p := inTurn("one", "two")
		u.dialer.Prompt = p
		u.mustDial("me@" + first.Addr())
		u.mustDial("me@" + second.Addr())
		if q := p.questions()[1]; q.Host != second.Addr() || !strings.Contains(q.Text, "refused") {
			t.Errorf("asked %+v", q)
		}
	})
	t.Run("three tries", func(t *testing.T) {
		u := newUser(t)
		s := start(t, sshtest.Options{Password: "pw"})
		u.trust(s)
		p := inTurn("a", "b", "c")
		u.dialer.Prompt = p
		u.authError("me@"+s.Addr(), "tried password, password, password")
		if n := len(p.questions()); n != 3 {
			t.Errorf("asked %d times", n)
		}
	})
	t.Run("no input", func(t *testing.T) {
		u := newUser(t)
		s := start(t, sshtest.Options{Password: "pw"})
		u.trust(s)
		u.authError("me@"+s.Addr(), "a password is needed", "--no-input")
	})
	t.Run("the person gives up", func(t *testing.T) {
		u := newUser(t)
		s := start(t, sshtest.Options{Password: "pw"})
		u.trust(s)
		p := &prompts{answer: func(dial.Question, int) (string, error) { return "", errors.New("no thanks") }}
		u.dialer.Prompt = p
		u.authError("me@"+s.Addr(), "nobody answered: no thanks")
		if n := len(p.questions()); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestOneTimeCodes(t *testing.T) {
	u := newUser(t)
	s := start(t, sshtest.Options{
		AuthorizedKeys: keys(u.key("id_ed25519")), SecondFactor: true,
		Questions: []sshtest.Question{{Text: "\x1b[31mCode: ", Answer: "123"}, {Text: "Colour", Echo: true, Answer: "red"}},
	})
	u.trust(s)
	p := &prompts{answer: func(q dial.Question, _ int) (string, error) {
		if q.Echo {
			return "red", nil
		}
		return "123", nil
	}}
	u.dialer.Prompt = p
	u.mustDial("me@" + s.Addr())
	u.mustDial("me@" + s.Addr()) // a code serves once
	asked := p.questions()
	if len(asked) != 4 {
		t.Fatalf("asked %+v", asked)
	}
	if q := asked[0]; q != (dial.Question{Host: s.Addr(), Text: "[31mCode"}) {
		t.Errorf("asked %q", q.Text)
	}
	u.again().authError("me@"+s.Addr(), "keyboard-interactive", "--no-input")
}

// A person who types slowly is hung up on; the answer serves the next attempt.
func TestHostHangsUpWhileThePersonTypes(t *testing.T) {
	u := newUser(t)
	s := start(t, sshtest.Options{Password: "pw"})
	u.trust(s)
	p := &prompts{answer: func(dial.Question, int) (string, error) { s.DropAll(); return "pw", nil }}
	u.dialer.Prompt = p
	u.mustDial("me@" + s.Addr())
	if n := len(p.questions()); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A host that waits for a person holds up none that needs no person.
func TestPromptBlocksNobodyElse(t *testing.T) {
	u := newUser(t)
	byKey := start(t, sshtest.Options{AuthorizedKeys: keys(u.sealedKey("id_ed25519", "open"))})
	byPassword := start(t, sshtest.Options{Password: "pw"})
	u.trust(byKey, byPassword)
	typing, typed := make(chan struct{}), make(chan struct{})
	u.dialer.Prompt = &prompts{answer: func(q dial.Question, _ int) (string, error) {
		if strings.HasPrefix(q.Text, "passphrase") {
			return "open", nil
		}
		close(typing)
		<-typed
		return "pw", nil
	}}
	u.mustDial("me@" + byKey.Addr()) // now the key is open
	done := make(chan error, 1)
	go func() {
		_, err := u.dial("me@" + byPassword.Addr())
		done <- err
	}()
	<-typing
	u.mustDial("me@" + byKey.Addr())
	close(typed)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCancelWhileAsking(t *testing.T) {
	u := newUser(t)
	s := start(t, sshtest.Options{Password: "pw"})
	u.trust(s)
	ctx, cancel := context.WithCancel(t.Context())
	u.dialer.Prompt = blocking{cancel}
	_, err := u.dialCtx(ctx, "me@"+s.Addr())
	if !errors.Is(err, context.Canceled) || dial.Temporary(err) {
		t.Errorf("error %v", err)
	}
}

// blocking never answers; once asked, it has its context cancelled.
type blocking struct{ asked func() }

func (b blocking) Prompt(ctx context.Context, _ dial.Question) (string, error) {
	b.asked()
	<-ctx.Done()
	return "", ctx.Err()
}
