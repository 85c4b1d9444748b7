package etcd

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// The names that certificates carry. The store takes the common name of a client's certificate for
// its user, so a host's name must not be able to become one of the others.
const (
	adminName  = "root" // etcd's own name for the user who may do anything
	serverName = "spore"
	peerName   = "spore-peer"
	hostName   = "host:" // and the host's name
)

// How long certificates last. Those of hosts are renewed in time. The others belong to those who
// hold the authority's key, and can make new ones whenever they like.
const (
	authorityLifetime = 30 * 365 * 24 * time.Hour
	holderLifetime    = 5 * 365 * 24 * time.Hour
	hostLifetime      = 180 * 24 * time.Hour
	clockSkew         = 48 * time.Hour // by which a host's clock may be slow
)

// An Authority signs the certificates of one store: who holds its key can be anybody there.
type Authority struct {
	cert *x509.Certificate
	pem  []byte
	key  ed25519.PrivateKey
	now  func() time.Time
}

// NewAuthority makes an authority with a key of its own.
func NewAuthority() (*Authority, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make certificate authority: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "spore authority"},
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	a := &Authority{cert: template, key: private, now: time.Now}
	if a.pem, err = a.sign(template, public, authorityLifetime); err == nil {
		a.cert, err = parseCertificate(a.pem)
	}
	if err != nil {
		return nil, fmt.Errorf("make certificate authority: %w", err)
	}
	return a, nil
}

// LoadAuthority returns the authority with this certificate and key, both PEM.
func LoadAuthority(cert, key []byte) (*Authority, error) {
	parsed, err := parseCertificate(cert)
	if err != nil {
		return nil, fmt.Errorf("load certificate authority: %w", err)
	}
	if !parsed.IsCA {
		return nil, errors.New("load certificate authority: the certificate is not that of an authority")
	}
	private, err := decodeKey(key)
	if err != nil {
		return nil, fmt.Errorf("load certificate authority: %w", err)
	}
	if public, ok := private.Public().(ed25519.PublicKey); !ok || !public.Equal(parsed.PublicKey) {
		return nil, errors.New("load certificate authority: the key does not belong to the certificate")
	}
	whole := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: parsed.Raw})
	return &Authority{cert: parsed, pem: whole, key: private, now: time.Now}, nil
}

// Certificate returns the authority's certificate, PEM.
func (a *Authority) Certificate() []byte { return a.pem }

// Key returns the authority's key, PEM of PKCS 8.
func (a *Authority) Key() ([]byte, error) { return encodeKey(a.key) }

// Admin issues credentials of an operator.
func (a *Authority) Admin() (Credentials, error) {
	cert, key, err := a.client(adminName)
	return Credentials{Server: serverName, CA: a.pem, Cert: cert, Key: key}, err
}

// Host issues credentials of a host. They are of use once the host has been admitted.
func (a *Authority) Host(name string) (Credentials, error) {
	if name == "" {
		return Credentials{}, errors.New("issue certificate for a host: it has no name")
	}
	cert, key, err := a.client(hostName + name)
	return Credentials{Host: name, Server: serverName, CA: a.pem, Cert: cert, Key: key}, err
}

// Sign answers a host's request, PEM, for a certificate to follow its last. The request proves that
// the host holds the key; nothing else that it says is taken from it.
func (a *Authority) Sign(host string, request []byte) (cert []byte, err error) {
	block, _ := pem.Decode(request)
	if block == nil || host == "" {
		return nil, fmt.Errorf("sign certificate of %q: there is no request in PEM, or no name", host)
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = parsed.CheckSignature()
	}
	if err == nil {
		cert, err = a.sign(clientTemplate(hostName+host), parsed.PublicKey, hostLifetime)
	}
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %s: %w", host, err)
	}
	return cert, nil
}

// sign signs template with what all certificates have in common filled in.
func (a *Authority) sign(template *x509.Certificate, public crypto.PublicKey, lifetime time.Duration) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	now := a.now()
	template.NotBefore, template.NotAfter = now.Add(-clockSkew), now.Add(lifetime)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// client returns a certificate, and its key, for a user of the store.
func (a *Authority) client(user string) (cert, key []byte, err error) {
	lifetime := hostLifetime
	if user == adminName {
		lifetime = holderLifetime
	}
	return a.issue(clientTemplate(user), lifetime)
}

func clientTemplate(user string) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: user},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// server returns a certificate, and its key, to listen with.
func (a *Authority) server() (cert, key []byte, err error) {
	return a.issue(serverTemplate(), holderLifetime)
}

// serverTemplate names serverName alone, for clients come through tunnels that end anywhere.
func serverTemplate() *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: serverName},
		DNSNames:    []string{serverName},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// peer returns a certificate, and its key, for members of the store to speak to each other.
func (a *Authority) peer() (cert, key []byte, err error) {
	return a.issue(peerTemplate(), holderLifetime)
}

// peerTemplate names peerName alone, by which members know each other wherever they are.
func peerTemplate() *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: peerName},
		DNSNames:    []string{peerName},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func (a *Authority) issue(template *x509.Certificate, lifetime time.Duration) (cert, key []byte, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err == nil {
		cert, err = a.sign(template, public, lifetime)
	}
	if err == nil {
		key, err = encodeKey(private)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("issue certificate for %s: %w", template.Subject.CommonName, err)
	}
	return cert, key, nil
}

func encodeKey(key ed25519.PrivateKey) ([]byte, error) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

func decodeKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("there is no key in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key is a %T: only Ed25519 is used here", key)
	}
	return private, nil
}

func parseCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("there is no certificate in PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}
