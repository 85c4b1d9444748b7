package dial

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// An identity is one key or certificate to offer.
type identity struct {
	label  string
	public ssh.PublicKey // nil if only opening the key tells
	signer func() (ssh.Signer, error)
}

// identities lists what to offer, in order: the keys that ssh_config names, whether the agent or
// a file holds them; then, unless IdentitiesOnly, the rest of the agent's. Where ssh_config
// names none, the agent's go first. Certificates go ahead of their keys. The order matters:
// hosts hang up after a few keys.
func (l *login) identities() []identity {
	held := l.fromAgent()
	var named []identity
	for _, path := range l.settings.identities {
		named = append(named, l.fromFile(l.env.keys.get(path), held)...)
	}
	list := named
	if !l.settings.identitiesOnly {
		if l.settings.explicit {
			list = append(list, held...)
		} else {
			list = slices.Concat(held, named)
		}
	}
	return slices.DeleteFunc(unique(l.certified(list)), func(id identity) bool {
		if id.public == nil || l.settings.allowed(id.public) {
			return false
		}
		l.note(id.label + " is not offered, as PubkeyAcceptedAlgorithms or RequiredRSASize forbids it")
		return true
	})
}

// fromFile gives the identities of one IdentityFile. A key that the agent holds as well is left
// to the agent, which asks for no passphrase and knows keys on tokens.
func (l *login) fromFile(f *keyFile, held []identity) []identity {
	var list []identity
	for _, h := range held {
		if f.public != nil && sameKey(plainKey(h.public), plainKey(f.public)) {
			list = append(list, h)
		}
	}
	if len(list) == 0 && f.private() {
		list = append(list, l.keyIdentity(f))
	}
	if len(list) == 0 {
		switch {
		case f.err == nil:
			l.note(fmt.Sprintf("key %s is neither there nor in ssh-agent", l.short(f.path)))
		case l.settings.explicit || !errors.Is(f.err, os.ErrNotExist):
			l.note(f.err.Error())
		}
		return nil
	}
	i := slices.IndexFunc(list, func(id identity) bool {
		return f.cert != nil && (id.public == nil || sameKey(id.public, f.cert.Key))
	})
	if i >= 0 {
		list = slices.Insert(list, 0, withCertificate(list[i], f.cert, f.path+"-cert.pub"))
	}
	return list
}

func (l *login) keyIdentity(f *keyFile) identity {
	open := func() (ssh.Signer, error) {
		// Deriving a key from a passphrase takes long by design, and others may be in line.
		resume := l.asking()
		defer resume()
		signer, err := l.env.keys.open(l.ctx, f, l.asker(f))
		if err != nil && l.ctx.Err() == nil {
			l.note(err.Error())
		}
		return signer, err
	}
	id := identity{label: "key " + l.short(f.path), public: f.public, signer: open}
	if f.public != nil {
		// With the public half known, nothing is decrypted before the host accepts the key.
		id.signer = func() (ssh.Signer, error) { return &lateSigner{public: f.public, open: open}, nil }
	}
	return id
}

// asker returns what asks for the passphrase of f, or nil where asking is off.
func (l *login) asker(f *keyFile) func(again bool) (string, error) {
	if l.env.vault.prompt == nil || l.settings.batch {
		return nil
	}
	return func(again bool) (string, error) {
		text := "passphrase of " + l.short(f.path)
		if again {
			text += " (the last one does not fit)"
		}
		return l.env.vault.prompt.Prompt(l.ctx, Question{Host: l.settings.target.Name(), Text: text})
	}
}

func (l *login) fromAgent() []identity {
	socket := l.settings.agent
	if socket == "" {
		return nil
	}
	resume := l.clock.pause() // the agent's silence is not the host's
	signers, release, err := l.env.agents.signers(l.ctx, socket)
	resume()
	if err != nil {
		l.note(err.Error())
		return nil
	}
	l.later(release)
	var list []identity
	for _, s := range signers {
		label := "key " + ssh.FingerprintSHA256(s.PublicKey()) + " (agent)"
		// The agent's client knows a blob and a name; what kind of key that is decides about much here.
		public, err := ssh.ParsePublicKey(s.PublicKey().Marshal())
		if err != nil {
			l.note(fmt.Sprintf("%s is not offered: %v", label, err))
			continue
		}
		signer := &heldSigner{Signer: s, public: public, label: label, login: l}
		list = append(list, identity{label: label, public: public, signer: func() (ssh.Signer, error) { return signer, nil }})
	}
	return list
}

// certified adds the certificates of CertificateFile ahead of the keys they are for.
func (l *login) certified(list []identity) []identity {
	for _, path := range l.settings.certificates {
		cert, err := readCertificate(path)
		if err != nil {
			l.note(err.Error())
			continue
		}
		i := slices.IndexFunc(list, func(id identity) bool { return id.public != nil && sameKey(id.public, cert.Key) })
		if i < 0 {
			l.note(fmt.Sprintf("certificate %s is for a key that is not at hand", l.short(path)))
			continue
		}
		list = slices.Insert(list, i, withCertificate(list[i], cert, path))
	}
	return list
}

func withCertificate(id identity, cert *ssh.Certificate, path string) identity {
	return identity{
		label:  "certificate " + filepath.Base(path),
		public: cert,
		signer: func() (ssh.Signer, error) {
			signer, err := id.signer()
			if err != nil {
				return nil, err
			}
			return ssh.NewCertSigner(cert, signer)
		},
	}
}

func unique(list []identity) []identity {
	var out []identity
	for _, id := range list {
		if id.public == nil || !slices.ContainsFunc(out, func(o identity) bool { return o.public != nil && sameKey(o.public, id.public) }) {
			out = append(out, id)
		}
	}
	return out
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

func plainKey(k ssh.PublicKey) ssh.PublicKey {
	if c, ok := k.(*ssh.Certificate); ok {
		return c.Key
	}
	return k
}

// short writes a path with ~ for the home directory.
func (l *login) short(path string) string {
	if rest, ok := strings.CutPrefix(path, l.env.home+"/"); ok {
		return "~/" + rest
	}
	return path
}

// A lateSigner opens its key when it first has to sign.
type lateSigner struct {
	public ssh.PublicKey
	open   func() (ssh.Signer, error)
}

func (s *lateSigner) PublicKey() ssh.PublicKey { return s.public }

func (s *lateSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

func (s *lateSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := s.open()
	if err != nil {
		return nil, err
	}
	if !sameKey(signer.PublicKey(), s.public) {
		return nil, errors.New("the public key beside the private one is another's")
	}
	return signWith(signer, rand, data, algorithm)
}

// A heldSigner has the agent sign, which may ask its user to confirm or to touch a token.
type heldSigner struct {
	ssh.Signer
	public ssh.PublicKey
	label  string
	login  *login
}

func (s *heldSigner) PublicKey() ssh.PublicKey { return s.public }

func (s *heldSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	resume := s.login.clock.pause()
	defer resume()
	waiting := time.AfterFunc(agentPatience, func() {
		s.login.env.log.Warn("waiting for ssh-agent to sign: it may want a touch or a confirmation",
			"host", s.login.settings.target.Name(), "key", s.label)
	})
	defer waiting.Stop()
	signature, err := signWith(s.Signer, rand, data, algorithm)
	if err != nil {
		s.login.note(fmt.Sprintf("ssh-agent did not sign with %s: %v", s.label, err))
	}
	return signature, err
}

func signWith(s ssh.Signer, rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if a, ok := s.(ssh.AlgorithmSigner); ok && algorithm != "" {
		return a.SignWithAlgorithm(rand, data, algorithm)
	}
	return s.Sign(rand, data)
}
