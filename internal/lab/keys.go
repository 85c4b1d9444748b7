package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

// writeKey stores a private key in OpenSSH's format at path and the public one at path.pub,
// and returns the latter as an authorized_keys line without its newline.
func writeKey(path string, key crypto.Signer, comment string) (string, error) {
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return "", fmt.Errorf("encode key: %w", err)
	}
	pub, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("encode key: %w", err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub)))
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return "", err
	}
	return line, os.WriteFile(path+".pub", []byte(line+" "+comment+"\n"), 0o644)
}

func newUserKey(path string) (string, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	return writeKey(path, key, "spore-lab")
}

// newHostKeys gives a host two keys of different types, as real hosts have several.
func newHostKeys(dir, comment string) ([]string, error) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	var public []string
	for name, key := range map[string]crypto.Signer{"ed25519": ed, "ecdsa": ec} {
		line, err := writeKey(dir+"/ssh_host_"+name+"_key", key, comment)
		if err != nil {
			return nil, err
		}
		public = append(public, line)
	}
	return public, nil
}
