package dial

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// trust decides whose host key is believed. Each set of known_hosts files is read once; keys
// accepted since are remembered beside it.
type trust struct {
	log *slog.Logger

	mu       sync.Mutex
	files    map[string]*knownHosts   // by the names of the files
	accepted map[string]ssh.PublicKey // by the first file's name and the host
}

func newTrust(log *slog.Logger) *trust {
	return &trust{log: log, files: make(map[string]*knownHosts), accepted: make(map[string]ssh.PublicKey)}
}

// checker returns what verifies the host key of s, and the algorithms to negotiate, those of the
// keys known for the host first. Asked for another, a host with several keys would show one that
// is not known and look like an impostor.
func (t *trust) checker(s *settings) (ssh.HostKeyCallback, []string, error) {
	known, err := t.load(s)
	if err != nil {
		return nil, nil, fmt.Errorf("verify %s: %w", s.target.Name(), err)
	}
	check := func(host string, _ net.Addr, key ssh.PublicKey) error {
		if err := s.checkStrength(key); err != nil {
			return hostKeyError(host, key, err)
		}
		return t.check(s, known, host, key)
	}
	return check, t.algorithms(s, known), nil
}

// load reads the known_hosts files of s unless that has been done for another host.
func (t *trust) load(s *settings) (*knownHosts, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	paths := slices.Concat(s.userKnownHosts, s.globalKnownHosts)
	name := strings.Join(paths, "\x00")
	if k := t.files[name]; k != nil {
		return k, nil
	}
	k, err := readKnownHosts(paths, t.log)
	if err == nil {
		t.files[name] = k
	}
	return k, err
}

func (t *trust) check(s *settings, known *knownHosts, host string, key ssh.PublicKey) error {
	err := known.db.HostKeyCallback()(host, &net.TCPAddr{IP: net.IPv4zero}, key)
	if err == nil && known.proves(host, key) {
		return nil
	}
	var (
		revoked *xknownhosts.RevokedError
		other   *xknownhosts.KeyError
	)
	e := hostKeyError(host, key, nil)
	switch {
	case errors.As(err, &revoked):
		e.Revoked, e.Known = true, []string{known.pos(revoked.Revoked)}
		return e
	case err == nil:
		other = new(xknownhosts.KeyError)
	case !errors.As(err, &other):
		e.Err = err
		return e
	}
	for _, k := range other.Want {
		// A line that names an authority says nothing of the host's own key.
		if !known.authority[known.pos(k)] {
			e.Changed = true
			e.Known = append(e.Known, known.pos(k))
		}
	}
	if e.Changed {
		return e
	}
	return t.unknown(s, e, host, key)
}

// unknown deals with a key of a host that no line names.
func (t *trust) unknown(s *settings, e *HostKeyError, host string, key ssh.PublicKey) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	file := ""
	if len(s.userKnownHosts) > 0 {
		file = s.userKnownHosts[0]
	}
	before := t.accepted[file+"\x00"+host]
	switch {
	case before != nil && bytes.Equal(before.Marshal(), key.Marshal()):
		return nil
	case before != nil:
		e.Changed, e.Known = true, []string{"what was accepted earlier in this run"}
		return e
	case !s.acceptNew:
		return e
	}
	t.accepted[file+"\x00"+host] = key
	log := t.log.With("host", e.Host, "key", e.KeyType, "fingerprint", e.Fingerprint)
	if file == "" {
		log.Warn("host key accepted; there is no known_hosts file to store it in")
	} else if err := appendKnownHost(file, host, key, s.hashKnownHosts); err != nil {
		log.Warn("host key accepted, but not stored, so the next run will not know it", "error", err)
	} else {
		log.Info("new host key accepted and stored", "file", file)
	}
	return nil
}

func hostKeyError(host string, key ssh.PublicKey, err error) *HostKeyError {
	return &HostKeyError{
		Host: knownhosts.Normalize(host), KeyType: key.Type(),
		Fingerprint: ssh.FingerprintSHA256(plainKey(key)), Err: err,
	}
}

// algorithms orders those that s allows: certificates if an authority is known for the host,
// then the types of its known keys, then the other plain types.
func (t *trust) algorithms(s *settings, known *knownHosts) []string {
	allowed := s.hostKeyAlgos
	if allowed == nil {
		allowed = ssh.SupportedAlgorithms().HostKeys
	}
	var list []string
	first := known.db.HostKeyAlgorithms(s.lookup())
	if slices.ContainsFunc(known.db.HostKeys(s.lookup()), func(k knownhosts.PublicKey) bool { return k.Cert }) {
		// An authority's key may be of another type than those it signs.
		list = slices.DeleteFunc(slices.Clone(allowed), func(a string) bool { return !isCertificate(a) })
	}
	for _, a := range first {
		if slices.Contains(allowed, a) && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	for _, a := range allowed {
		if !isCertificate(a) && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

func isCertificate(algorithm string) bool { return strings.Contains(algorithm, "-cert-v01@") }

// checkStrength holds a host key to RequiredRSASize and CASignatureAlgorithms.
func (s *settings) checkStrength(key ssh.PublicKey) error {
	if bits := rsaBits(key); bits > 0 && bits < s.rsaBits {
		return fmt.Errorf("an RSA key of %d bits is shorter than the %d that RequiredRSASize asks for", bits, s.rsaBits)
	}
	cert, ok := key.(*ssh.Certificate)
	if ok && s.caAlgos != nil && !slices.Contains(s.caAlgos, cert.Signature.Format) {
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
