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

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

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
		"hashed":                       func(s *sshtest.Server, key string) string { return knownhosts.HashHostname(bracketed(s)) + " " + key },
		"among others":                 func(s *sshtest.Server, key string) string { return "x,y," + bracketed(s) + ",z " + key },
		"pattern for its port":         func(_ *sshtest.Server, key string) string { return "[127.0.0.*]:* " + key },
		"on the standard port":         func(_ *sshtest.Server, key string) string { return "127.0.0.1 " + key },
		"hashed, on the standard port": func(_ *sshtest.Server, key string) string { return knownhosts.HashHostname("127.0.0.1") + " " + key },
		"among refusals": func(s *sshtest.Server, key string) string {
			_, other := newPrivate(t)
			return "!" + bracketed(s) + ",* " + authorizedLine(other.PublicKey()) + "*,!db " + key
		},
		"wildcard": func(_ *sshtest.Server, key string) string { return "127.0.* " + key },
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

// A key that is revoked, by a file or as the authority of a certificate, is refused however well
// it is known; while the list cannot be read, so is every other.
func TestRevokedHostKeys(t *testing.T) {
	u, s := trusting(t, sshtest.Options{})
	u.trust(s)
	_, other := newPrivate(t)
	path := u.write("revoked", "# gone\n"+authorizedLine(other.PublicKey()))
	u.write("config", "RevokedHostKeys "+path+"\nIdentityFile ~/.ssh/id_ed25519\n")
	u.mustDial("me@" + s.Addr())
	for text, want := range map[string]string{
		"# gone\n\n" + authorizedLine(s.HostKey()): path + ":3 marks as revoked",
		"SSHKRL\n\x00":           "binary format",
		"ssh-ed25519 nonsense\n": path + ":1",
	} {
		u.write("revoked", text)
		v := u.again()
		v.dialer.AcceptNew = true
		if _, err := v.dial("me@" + s.Addr()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := u.again().dial("me@" + s.Addr()); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("without the list: error %v", err)
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
	show := func(t *testing.T, cert *ssh.Certificate) (*user, *sshtest.Server) {
		signer, err := ssh.NewCertSigner(cert, plain)
		if err != nil {
			t.Fatal(err)
		}
		return trusting(t, sshtest.Options{HostKeys: []ssh.Signer{signer, plain}})
	}
	serve := func(t *testing.T, until time.Time, principals ...string) (*user, *sshtest.Server) {
		return show(t, certify(t, ca, plain.PublicKey(), ssh.HostCert, until, principals...))
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
	t.Run("for a pattern of hosts", func(t *testing.T) {
		u, s := serve(t, later, "elsewhere", "127.0.*.1")
		u.write("known_hosts", authority)
		u.mustDial("me@" + s.Addr())
	})
	t.Run("for the alias", func(t *testing.T) {
		u, s := serve(t, later, "box")
		u.write("known_hosts", "@cert-authority box "+authorizedLine(ca.PublicKey()))
		u.write("config", "HostKeyAlias BOX\n")
		u.mustDial("me@" + s.Addr())
	})
	t.Run("for a user", func(t *testing.T) {
		u, s := show(t, certify(t, ca, plain.PublicKey(), ssh.UserCert, later, "127.0.0.1"))
		u.write("known_hosts", authority)
		_, err := u.dial("me@" + s.Addr())
		wantError[*dial.HostKeyError](t, err, false, "a user's")
	})
	t.Run("with a critical option", func(t *testing.T) {
		cert := certify(t, ca, plain.PublicKey(), ssh.HostCert, later, "127.0.0.1")
		cert.CriticalOptions = map[string]string{"what": "ever"}
		if err := cert.SignCert(rand.Reader, ca); err != nil {
			t.Fatal(err)
		}
		u, s := show(t, cert)
		u.write("known_hosts", authority)
		_, err := u.dial("me@" + s.Addr())
		wantError[*dial.HostKeyError](t, err, false, "critical option")
	})
	t.Run("signed with SHA-1", func(t *testing.T) {
		old, err := ssh.NewSignerWithAlgorithms(plain.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
		if err != nil {
			t.Fatal(err)
		}
		u, s := show(t, certify(t, old, plain.PublicKey(), ssh.HostCert, later, "127.0.0.1"))
		u.write("known_hosts", "@cert-authority * "+authorizedLine(plain.PublicKey()))
		_, err = u.dial("me@" + s.Addr())
		wantError[*dial.HostKeyError](t, err, false, "signed with ssh-rsa")
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
