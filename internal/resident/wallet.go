package resident

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	"spore/etcd"
)

// renewalAge is the age at which a certificate is renewed: a third of the life of one. One that lives
// for a shorter time is renewed after a third of that.
const renewalAge = 60 * 24 * time.Hour

// A wallet holds the host's credentials, on disk and in use.
type wallet struct {
	path string

	mu   sync.Mutex
	has  etcd.Credentials
	pair *tls.Certificate
}

func openWallet(path string) (*wallet, error) {
	w := &wallet{path: path}
	if err := readJSON(path, &w.has); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(w.has.Cert, w.has.Key)
	if err != nil {
		return nil, errors.New("read credentials: certificate and key do not belong to each other")
	}
	w.pair = &pair
	return w, nil
}

func (w *wallet) credentials() etcd.Credentials {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.has
}

// certificate is asked at each handshake.
func (w *wallet) certificate() (*tls.Certificate, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pair, nil
}

// due says whether the certificate is to be renewed.
func (w *wallet) due(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	leaf := w.pair.Leaf
	age := min(renewalAge, leaf.NotAfter.Sub(leaf.NotBefore)/3)
	return !now.Before(leaf.NotBefore.Add(age))
}

// request returns a request for a certificate of the same key.
func (w *wallet) request() ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key, ok := w.pair.PrivateKey.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("request certificate: the host's key is of a strange kind")
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, new(x509.CertificateRequest), key)
	if err != nil {
		return nil, fmt.Errorf("request certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// renew takes the certificate in text in place of the one it has. It reports whether it did: one that
// does not last longer is of no use, and one that is wrong is an error.
func (w *wallet) renew(text []byte, now time.Time) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	pair, err := tls.X509KeyPair(text, w.has.Key)
	if err != nil {
		return false, fmt.Errorf("refuse new certificate: %w", err)
	}
	old := w.pair.Leaf
	if !pair.Leaf.NotAfter.After(old.NotAfter) {
		return false, nil
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.has.CA)
	_, err = pair.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err == nil && pair.Leaf.Subject.CommonName != old.Subject.CommonName {
		err = fmt.Errorf("it is for %q", pair.Leaf.Subject.CommonName)
	}
	if err != nil {
		return false, fmt.Errorf("refuse new certificate: %w", err)
	}
	next := w.has
	next.Cert = text
	if err := writeJSON(w.path, next); err != nil {
		return false, fmt.Errorf("save new certificate: %w", err)
	}
	w.has, w.pair = next, &pair
	return true, nil
}
