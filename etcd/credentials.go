package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
)

// Credentials are what it takes to speak to a store. They travel as JSON and hold a private key:
// they print and log without it.
type Credentials struct {
	Host string `json:"host,omitempty"` // whose they are; empty for the operator's
	// Server is the name the server's certificate must hold; if empty, the endpoint's host.
	Server string `json:"server,omitempty"`
	CA     []byte `json:"ca"`   // PEM: who signs the server's certificate
	Cert   []byte `json:"cert"` // PEM
	Key    []byte `json:"key"`  // PEM
}

// TLS returns the configuration of a client.
func (c Credentials) TLS() (*tls.Config, error) {
	pair, err := tls.X509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	return c.tlsWith(func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil })
}

// tlsWith is TLS with a certificate that is asked for at each handshake.
func (c Credentials) tlsWith(certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(c.CA) {
		return nil, errors.New("read credentials: no certificate authority in them")
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS12,
		GetClientCertificate: certificate,
		RootCAs:              roots,
		ServerName:           c.Server,
	}, nil
}

// String tells whose they are and nothing else.
func (c Credentials) String() string { return "credentials of " + c.owner() }

// GoString is String.
func (c Credentials) GoString() string { return c.String() }

// LogValue is String.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

func (c Credentials) owner() string {
	if c.Host == "" {
		return "the operator"
	}
	return c.Host
}
