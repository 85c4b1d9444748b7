package dial_test

import (
	"crypto/rand"
	"crypto/rsa"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"spore/internal/sshtest"
	"spore/remote/dial"
)

// trusting is a user with a key, and a server that takes it.
func trusting(t *testing.T, opts sshtest.Options) (*user, *sshtest.Server) {
	t.Helper()
	u := newUser(t)
	opts.AuthorizedKeys = keys(u.key("id_ed25519"))
	return u, start(t, opts)
}

func bracketed(s *sshtest.Server) string { return "[127.0.0.1]:" + port(s) }

func TestHostKeyUnknown(t *testing.T) {
	u, s := trusting(t, sshtest.Options{})
	_, err := u.dial("me@" + s.Addr())
	e := wantError[*dial.HostKeyError](t, err, false, "is not known", "--accept-new-host-keys", ssh.FingerprintSHA256(s.HostKey()))
	if e.Changed || e.Revoked || e.Host != bracketed(s) || e.KeyType != "ssh-ed25519" {
		t.Errorf("error says %+v", e)
	}
	if u.read("known_hosts") != "" {
		t.Error("the key was stored")
	}
}

func TestHostKeyChanged(t *testing.T) {
	for _, acceptNew := range []bool{false, true} {
		u, s := trusting(t, sshtest.Options{})
		_, other := newPrivate(t)
		before := "# comment\n" + knownhosts.Line([]string{s.Addr()}, other.PublicKey()) + "\n"
		path := u.write("known_hosts", before)
		u.dialer.AcceptNew = acceptNew
		_, err := u.dial("me@" + s.Addr())
		e := wantError[*dial.HostKeyError](t, err, false, "has changed", path+":2", "ssh-keygen -R '"+bracketed(s)+"'")
		if !e.Changed {
			t.Errorf("error says %+v", e)
		}
		if u.read("known_hosts") != before {
			t.Error("known_hosts was touched")
		}
	}
}

// A host known by one type of key that now offers only another is not taken for a new one.
func TestHostKeyOfAnotherType(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	u, s := trusting(t, sshtest.Options{})
	u.write("known_hosts", knownhosts.Line([]string{s.Addr()}, other.PublicKey())+"\n")
	u.dialer.AcceptNew = true
	_, err = u.dial("me@" + s.Addr())
	wantError[*dial.HostKeyError](t, err, false, "has changed")

	// One that has both keys is asked for the one that is known.
	_, ed := newPrivate(t)
	u, s = trusting(t, sshtest.Options{HostKeys: []ssh.Signer{ed, other}})
	u.write("known_hosts", knownhosts.Line([]string{s.Addr()}, other.PublicKey())+"\n")
	u.mustDial("me@" + s.Addr())

	// RequiredRSASize holds for host keys.
	v := u.again()
	v.write("config", "RequiredRSASize 3072\n")
	_, err = v.dial("me@" + s.Addr())
	wantError[*dial.HostKeyError](t, err, false, "2048 bits")
}

func TestAcceptNew(t *testing.T) {
	u, s := trusting(t, sshtest.Options{})
	path := u.write("known_hosts", "# no newline at the end")
	u.dialer.AcceptNew = true
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := u.dial("me@" + s.Addr()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if want := "# no newline at the end\n" + s.KnownHostsLine(); u.read("known_hosts") != want {
		t.Errorf("known_hosts is %q, want %q", u.read("known_hosts"), want)
	}
	if strings.Count(u.log.String(), "host key accepted") != 1 || !strings.Contains(u.log.String(), ssh.FingerprintSHA256(s.HostKey())) {
		t.Errorf("log: %s", u.log)
	}
	u.again().mustDial("me@" + s.Addr()) // known now, without being accepted
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("known_hosts: %v, %v", fi, err)
	}
}

func TestAcceptNewMakesTheFile(t *testing.T) {
	u, s := trusting(t, sshtest.Options{})
	u.write("config", "HashKnownHosts yes\nStrictHostKeyChecking accept-new\nUserKnownHostsFile ~/new/dir/hosts ~/second\nIdentityFile ~/.ssh/id_ed25519\n")
	u.mustDial("me@" + s.Addr())
	path := filepath.Join(u.home, "new", "dir", "hosts")
	b, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(b), "|1|") || strings.Contains(string(b), "127.0.0.1") {
		t.Errorf("stored %q, %v, want a hashed name", b, err)
	}
	for p, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if fi, err := os.Stat(p); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want mode %o", p, fi, err, mode)
		}
	}
	u.write("config", "UserKnownHostsFile ~/new/dir/hosts\n")
	u.again().mustDial("me@" + s.Addr())
}

// Where the key cannot be stored, the run goes on and says so, and believes no second key.
func TestAcceptNewWithoutAFile(t *testing.T) {
	for name, file := range map[string]string{"null": "/dev/null", "none": "none", "unwritable": "/dev/null/x"} {
		t.Run(name, func(t *testing.T) {
			u, s := trusting(t, sshtest.Options{})
			u.write("config", "Host w\n HostName 127.0.0.1\n Port "+port(s)+"\n StrictHostKeyChecking no\n UserKnownHostsFile "+file+"\n")
			if name == "unwritable" {
				u.write("config", strings.Replace(u.read("config"), file, u.home+"/.ssh/id_ed25519/x", 1))
			}
			u.mustDial("me@w")
			u.mustDial("me@w")
			if !strings.Contains(u.log.String(), "accepted") || !strings.Contains(u.log.String(), "taken as accept-new") {
				t.Errorf("log: %s", u.log)
			}
		})
	}
}

func TestHostKeyRemembersWhatItAccepted(t *testing.T) {
	u, s := trusting(t, sshtest.Options{})
	other := start(t, sshtest.Options{AuthorizedKeys: keys(u.key("id_rsa"))})
	u.write("config", "UserKnownHostsFile none\nHost a\n Port "+port(s)+"\nHost b\n Port "+port(other)+"\nHost *\n HostName 127.0.0.1\n HostKeyAlias same\n")
	u.dialer.AcceptNew = true
	u.mustDial("me@a")
	_, err := u.dial("me@b")
	wantError[*dial.HostKeyError](t, err, false, "has changed", "earlier in this run")
}

func TestHostKeyIsKnown(t *testing.T) {
	for name, line := range map[string]func(s *sshtest.Server, key string) string{
		"hashed":       func(s *sshtest.Server, key string) string { return xknownhosts.HashHostname(bracketed(s)) + " " + key },
		"among others": func(s *sshtest.Server, key string) string { return "x,y," + bracketed(s) + ",z " + key },
		"wildcard":     func(_ *sshtest.Server, key string) string { return "127.0.* " + key },
		"after nonsense": func(s *sshtest.Server, key string) string {
			return "old 1024 35 1234\n@what x " + key + "\n" + bracketed(s) + " " + key
		},
	} {
		t.Run(name, func(t *testing.T) {
			u, s := trusting(t, sshtest.Options{})
			path := u.write("known_hosts", line(s, authorizedLine(s.HostKey())))
			u.mustDial("me@" + s.Addr())
			if name == "after nonsense" && (!strings.Contains(u.log.String(), path+":1") || !strings.Contains(u.log.String(), path+":2")) {
				t.Errorf("log: %s", u.log)
			}
		})
	}
}

// Lines that are passed over do not shift the numbers of the others.
func TestHostKeyPositionAfterNonsense(t *testing.T) {
	u, s := trusting(t, sshtest.Options{})
	_, other := newPrivate(t)
	path := u.write("known_hosts", "nonsense\n\n"+knownhosts.Line([]string{s.Addr()}, other.PublicKey())+"\n")
	_, err := u.dial("me@" + s.Addr())
	wantError[*dial.HostKeyError](t, err, false, path+":3")
}

func TestHostKeyAliasAndGlobalFile(t *testing.T) {
	u, s := trusting(t, sshtest.Options{})
	u.write("config", "HostKeyAlias the-box\nUserKnownHostsFile none\nGlobalKnownHostsFile ~/global\n")
	if err := os.WriteFile(filepath.Join(u.home, "global"), []byte("the-box "+authorizedLine(s.HostKey())), 0o644); err != nil {
		t.Fatal(err)
	}
	u.mustDial("me@" + s.Addr())
}

func TestHostKeyRevoked(t *testing.T) {
	u, s := trusting(t, sshtest.Options{})
	path := u.write("known_hosts", s.KnownHostsLine()+"@revoked * "+authorizedLine(s.HostKey()))
	u.dialer.AcceptNew = true
	_, err := u.dial("me@" + s.Addr())
	e := wantError[*dial.HostKeyError](t, err, false, "revoked", path+":2")
	if !e.Revoked {
		t.Errorf("error says %+v", e)
	}
}

func TestHostCertificates(t *testing.T) {
	_, ca := newPrivate(t)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := ssh.NewSignerFromKey(private) // of another type than its authority
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	serve := func(t *testing.T, until time.Time, principals ...string) (*user, *sshtest.Server) {
		cert, err := ssh.NewCertSigner(certify(t, ca, plain.PublicKey(), ssh.HostCert, until, principals...), plain)
		if err != nil {
			t.Fatal(err)
		}
		return trusting(t, sshtest.Options{HostKeys: []ssh.Signer{cert, plain}})
	}
	authority := "@cert-authority 127.0.0.* " + authorizedLine(ca.PublicKey())
	t.Run("signed", func(t *testing.T) {
		u, s := serve(t, later, "127.0.0.1")
		u.write("known_hosts", authority)
		u.mustDial("me@" + s.Addr())
	})
	t.Run("signed by an algorithm that is left out", func(t *testing.T) {
		u, s := serve(t, later, "127.0.0.1")
		u.write("known_hosts", authority)
		u.write("config", "CASignatureAlgorithms rsa-sha2-512\n")
		_, err := u.dial("me@" + s.Addr())
		wantError[*dial.HostKeyError](t, err, false, "CASignatureAlgorithms")
	})
	t.Run("for another host", func(t *testing.T) {
		u, s := serve(t, later, "elsewhere")
		u.write("known_hosts", authority)
		_, err := u.dial("me@" + s.Addr())
		wantError[*dial.HostKeyError](t, err, false, "principal")
	})
	t.Run("expired", func(t *testing.T) {
		u, s := serve(t, time.Unix(2, 0), "127.0.0.1")
		u.write("known_hosts", authority)
		u.dialer.AcceptNew = true
		_, err := u.dial("me@" + s.Addr())
		wantError[*dial.HostKeyError](t, err, false, "expired")
	})
	t.Run("authority revoked", func(t *testing.T) {
		u, s := serve(t, later, "127.0.0.1")
		u.write("known_hosts", authority+"@revoked * "+authorizedLine(ca.PublicKey()))
		_, err := u.dial("me@" + s.Addr())
		wantError[*dial.HostKeyError](t, err, false, "revoked")
	})
	t.Run("authority unknown, key known", func(t *testing.T) {
		u, s := serve(t, later, "127.0.0.1")
		u.write("known_hosts", knownhosts.Line([]string{s.Addr()}, plain.PublicKey())+"\n")
		u.mustDial("me@" + s.Addr())
	})
	t.Run("a host without a certificate is just unknown", func(t *testing.T) {
		u, s := trusting(t, sshtest.Options{})
		u.write("known_hosts", authority)
		_, err := u.dial("me@" + s.Addr())
		wantError[*dial.HostKeyError](t, err, false, "is not known")
		v := u.again()
		v.dialer.AcceptNew = true
		v.mustDial("me@" + s.Addr())
	})
	t.Run("an authority's key is no host key", func(t *testing.T) {
		u, s := trusting(t, sshtest.Options{HostKeys: []ssh.Signer{ca}})
		u.write("known_hosts", authority)
		_, err := u.dial("me@" + s.Addr())
		wantError[*dial.HostKeyError](t, err, false, "is not known")
	})
}
