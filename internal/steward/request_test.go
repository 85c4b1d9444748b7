package steward

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"time"
)

// request has a host ask for a certificate, and waits for one that is for its key.
func (f *cluster) request(name string) {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		f.t.Fatal(err)
	}
	client := f.hosts[name].client
	if err := client.RequestCertificate(f.t.Context(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})); err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), waitFor)
	defer cancel()
	answered := false
	err = client.FollowCertificate(ctx, func(text []byte) {
		block, _ := pem.Decode(text)
		if block == nil {
			return
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err == nil && key.PublicKey.Equal(cert.PublicKey) && cert.NotAfter.After(time.Now()) {
			answered = true
			cancel()
		}
	})
	if err != nil || !answered {
		f.t.Errorf("%s waited in vain for a certificate (%v)", name, err)
	}
}
