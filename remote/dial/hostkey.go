package dial

import (
	"cmp"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"spore/remote/dial/sshconfig"
)

// trust decides whose host key is believed. Each set of files is read once; keys accepted since
// are remembered beside it.
type trust struct {
	log *slog.Logger

	mu       sync.Mutex
	files    map[string]knownHosts    // by the names of the files
	accepted map[string]ssh.PublicKey // by the first file's name and the host
}

func newTrust(log *slog.Logger) *trust {
	return &trust{log: log, files: make(map[string]knownHosts), accepted: make(map[string]ssh.PublicKey)}
}

// checker returns what verifies the host key of s, and the algorithms to negotiate, those of the
// keys known for the host first. Asked for another, a host with several keys would show one that
// is not known and look like an impostor.
func (t *trust) checker(s *settings) (ssh.HostKeyCallback, []string, error) {
	known, err := t.load(s)
	if err != nil {
		return nil, nil, fmt.Errorf("verify %s: %w", s.target.Name(), err)
	}
	check := func(_ string, _ net.Addr, key ssh.PublicKey) error {
		if err := s.checkStrength(key); err != nil {
			return hostKeyError(s.knownNames()[0], key, err)
		}
		return t.check(s, known, key)
	}
	return check, s.offers(known), nil
}

// load reads the files that s names unless that has been done for another host.
func (t *trust) load(s *settings) (knownHosts, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	paths := slices.Concat(s.userKnownHosts, s.globalKnownHosts)
	name := strings.Join(paths, "\x00") + "\x00\x00" + strings.Join(s.revoked, "\x00")
	if k, ok := t.files[name]; ok {
		return k, nil
	}
	known, err := readKnownHosts(paths, t.log)
	if err != nil {
		return nil, err
	}
	revoked, err := readRevoked(s.revoked)
	if err != nil {
		return nil, err
	}
	t.files[name] = slices.Concat(known, revoked)
	return t.files[name], nil
}

// knownNames are what the host may be called in known_hosts. Like OpenSSH, we believe a key that
// is known for the host on the standard port on another of its ports too.
func (s *settings) knownNames() []string {
	exact, host := knownName(s.lookup()), knownName(net.JoinHostPort(s.host, "22"))
	if s.hostKeyAlias != "" || exact == host {
		return []string{exact}
	}
	return []string{exact, host}
}

func (t *trust) check(s *settings, known knownHosts, key ssh.PublicKey) error {
	names := s.knownNames()
	e := hostKeyError(names[0], key, nil)
	cert, isCert := key.(*ssh.Certificate)
	suspects := []ssh.PublicKey{plainKey(key)}
	if isCert {
		suspects = append(suspects, cert.SignatureKey)
	}
	for _, name := range names {
		if line, bad := known.about(name, markRevoked).holds(suspects...); bad {
			e.Revoked, e.Known = true, []string{line.pos}
			return e
		}
	}
	for _, name := range names {
		if isCert {
			if _, ok := known.about(name, markAuthority).holds(cert.SignatureKey); ok {
				return s.checkCertificate(e, cert)
			}
		}
		// A certificate by somebody unknown says as much as the key in it.
		if _, ok := known.about(name, "").holds(plainKey(key)); ok {
			return nil
		}
	}
	for _, line := range known.about(names[0], "") {
		e.Changed = true
		e.Known = append(e.Known, line.pos)
	}
	if e.Changed {
		return e
	}
	return t.unknown(s, e, plainKey(key))
}

// checkCertificate says whether cert, by an authority that is trusted with this host, is for it.
// Its principals may be patterns.
func (s *settings) checkCertificate(e *HostKeyError, cert *ssh.Certificate) error {
	host := cmp.Or(s.hostKeyAlias, s.host)
	principal := host
	if i := slices.IndexFunc(cert.ValidPrincipals, func(p string) bool { return sshconfig.Match(strings.ToLower(p), host) }); i >= 0 {
		principal = cert.ValidPrincipals[i]
	}
	if cert.CertType != ssh.HostCert {
		e.Err = errors.New("its certificate is a user's, not a host's")
		return e
	}
	if e.Err = new(ssh.CertChecker).CheckCert(principal, cert); e.Err != nil {
		return e
	}
	return nil
}

// unknown deals with a key of a host that no line names.
func (t *trust) unknown(s *settings, e *HostKeyError, key ssh.PublicKey) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	file := ""
	if len(s.userKnownHosts) > 0 {
		file = s.userKnownHosts[0]
	}
	before := t.accepted[file+"\x00"+e.Host]
	switch {
	case before != nil && sameKey(before, key):
		return nil
	case before != nil:
		e.Changed, e.Known = true, []string{"what was accepted earlier in this run"}
		return e
	case !s.acceptNew:
		return e
	}
	t.accepted[file+"\x00"+e.Host] = key
	log := t.log.With("host", e.Host, "key", e.KeyType, "fingerprint", e.Fingerprint)
	if file == "" {
		log.Warn("host key accepted; there is no known_hosts file to store it in")
	} else if err := appendKnownHost(file, e.Host, key, s.hashKnownHosts); err != nil {
		log.Warn("host key accepted, but not stored, so the next run will not know it", "error", err)
	} else {
		log.Info("new host key accepted and stored", "file", file)
	}
	return nil
}

func hostKeyError(name string, key ssh.PublicKey, err error) *HostKeyError {
	return &HostKeyError{Host: name, KeyType: key.Type(), Fingerprint: ssh.FingerprintSHA256(plainKey(key)), Err: err}
}

// offers orders the host key algorithms that s allows: certificates if an authority is known for
// the host, then the types of its known keys, then the other plain types.
func (s *settings) offers(known knownHosts) []string {
	allowed := s.hostKeyAlgos
	if allowed == nil {
		allowed = ssh.SupportedAlgorithms().HostKeys
	}
	var certificates, first []string
	for _, name := range s.knownNames() {
		if certificates == nil && len(known.about(name, markAuthority)) > 0 {
			// An authority's key may be of another type than those it signs.
			certificates = slices.DeleteFunc(slices.Clone(allowed), func(a string) bool { return !isCertificate(a) })
		}
		for _, line := range known.about(name, "") {
			first = append(first, signatureAlgorithms(line.key)...)
		}
	}
	plain := slices.DeleteFunc(slices.Clone(allowed), isCertificate)
	first = slices.DeleteFunc(first, func(a string) bool { return !slices.Contains(plain, a) })
	return slices.Concat(certificates, union(union(nil, first), plain))
}

// signatureAlgorithms are those that key, not a certificate, may sign with.
func signatureAlgorithms(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
	}
	return []string{key.Type()}
}

func isCertificate(algorithm string) bool { return strings.Contains(algorithm, "-cert-v01@") }

// checkStrength holds a host key to RequiredRSASize and CASignatureAlgorithms.
func (s *settings) checkStrength(key ssh.PublicKey) error {
	if bits := rsaBits(key); bits > 0 && bits < s.rsaBits {
		return fmt.Errorf("an RSA key of %d bits is shorter than the %d that RequiredRSASize asks for", bits, s.rsaBits)
	}
	cert, ok := key.(*ssh.Certificate)
	if ok && !slices.Contains(s.caAlgos, cert.Signature.Format) {
		return fmt.Errorf("its certificate is signed with %s, which CASignatureAlgorithms leaves out", cert.Signature.Format)
	}
	return nil
}

// rsaBits is the size of an RSA key, 0 for any other.
func rsaBits(key ssh.PublicKey) int {
	c, ok := plainKey(key).(ssh.CryptoPublicKey)
	if !ok {
		return 0
	}
	if k, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok {
		return k.N.BitLen()
	}
	return 0
}
