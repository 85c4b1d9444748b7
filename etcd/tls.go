package etcd

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/transport"
)

// tlsInfo issues a certificate and writes it to dir, since etcd reads its certificates from files.
func tlsInfo(dir, name string, a *Authority, issue func() (cert, key []byte, err error)) (transport.TLSInfo, error) {
	cert, key, err := issue()
	if err != nil {
		return transport.TLSInfo{}, err
	}
	info := transport.TLSInfo{
		CertFile:       filepath.Join(dir, name+".crt"),
		KeyFile:        filepath.Join(dir, name+".key"),
		TrustedCAFile:  filepath.Join(dir, "ca.crt"),
		ClientCertAuth: true,
	}
	files := map[string][]byte{info.CertFile: cert, info.KeyFile: key, info.TrustedCAFile: a.pem}
	for path, content := range files {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return transport.TLSInfo{}, fmt.Errorf("write certificate: %w", err)
		}
	}
	return info, nil
}

// renew issues the certificate called name in dir anew for the same key, so that whoever reads the
// one and then the other never gets two that do not belong together.
func renew(dir, name string, a *Authority, template *x509.Certificate) error {
	text, err := os.ReadFile(filepath.Join(dir, name+".key"))
	if err != nil {
		return err
	}
	key, err := decodeKey(text)
	if err != nil {
		return err
	}
	cert, err := a.sign(template, key.Public(), holderLifetime)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, name+".crt"), cert)
}

// replaceFile makes content that of the file at path, from one moment to the next.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // unless it has been renamed
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
