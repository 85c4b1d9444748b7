package dial

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// A keyring reads each key file once for all hosts.
type keyring struct {
	vault *vault

	mu    sync.Mutex
	files map[string]*keyFile
}

// A keyFile is an IdentityFile: a private key, perhaps encrypted, or just the public half of one
// that the agent holds.
type keyFile struct {
	path   string
	public ssh.PublicKey // nil for an encrypted key of an old format without a .pub beside it
	cert   *ssh.Certificate
	err    error      // why the file cannot be used
	plain  ssh.Signer // the key, if it is not encrypted
	sealed []byte     // the key, if it is

	mu     sync.Mutex
	opened ssh.Signer // the encrypted key, once decrypted
	tried  int        // so many of the vault's passphrases do not fit
	gaveUp error      // why it will not be decrypted any more
}

func newKeyring(v *vault) *keyring { return &keyring{vault: v, files: make(map[string]*keyFile)} }

// get returns the key in path, which may turn out to be unusable.
func (k *keyring) get(path string) *keyFile {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.files[path]
	if f == nil || errors.Is(f.err, os.ErrNotExist) {
		f = readKey(path)
		k.files[path] = f
	}
	return f
}

func readKey(path string) *keyFile {
	f := &keyFile{path: path}
	if pub, err := readPublic(path + ".pub"); err == nil {
		f.public = pub
	}
	f.cert, _ = readCertificate(path + "-cert.pub") // beside the key it is optional
	text, err := readPrivate(path)
	if errors.Is(err, os.ErrNotExist) && f.public != nil {
		return f
	}
	if err != nil {
		f.err = err
		return f
	}
	if pub, err := parsePublic(text); err == nil {
		f.public = pub
		return f
	}
	signer, err := ssh.ParsePrivateKey(text)
	var missing *ssh.PassphraseMissingError
	switch {
	case err == nil:
		f.plain, f.public = signer, signer.PublicKey()
	case errors.As(err, &missing):
		f.sealed = text
		if missing.PublicKey != nil {
			f.public = missing.PublicKey
		}
	default:
		f.err = fmt.Errorf("read key %s: %w", path, err)
	}
	return f
}

// readPrivate reads a key that nobody else may read, as OpenSSH insists.
func readPrivate(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) == os.Getuid() && fi.Mode().Perm()&0o077 != 0 {
		if text, err := os.ReadFile(path); err == nil {
			if _, err := parsePublic(text); err == nil {
				return text, nil
			}
		}
		return nil, fmt.Errorf("key %s may be read by others: run chmod 600 on it", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	return text, nil
}

func parsePublic(text []byte) (ssh.PublicKey, error) {
	pub, _, _, _, err := ssh.ParseAuthorizedKey(text)
	return pub, err
}

func readPublic(path string) (ssh.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	pub, err := parsePublic(text)
	if err != nil {
		return nil, fmt.Errorf("read public key %s: %w", path, err)
	}
	return pub, nil
}

func readCertificate(path string) (*ssh.Certificate, error) {
	pub, err := readPublic(path)
	if err != nil {
		return nil, err
	}
	cert, ok := pub.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("read certificate %s: it holds a plain key", path)
	}
	return cert, nil
}

// private reports whether there is a private half in the file.
func (f *keyFile) private() bool { return f.err == nil && (f.plain != nil || f.sealed != nil) }

// open returns the signer of f, asking for its passphrase if no known one fits. ask is nil where
// asking is off.
func (k *keyring) open(ctx context.Context, f *keyFile, ask func(again bool) (string, error)) (ssh.Signer, error) {
	if f.plain != nil {
		return f.plain, nil
	}
	if done, signer, err := f.tryKnown(k.vault.known()); done {
		return signer, err
	}
	if ask == nil {
		return nil, fmt.Errorf("key %s needs its passphrase, and %w", f.path, ErrNoPrompt)
	}
	unlock, err := k.vault.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for try := range defaultTries {
		if done, signer, err := f.tryKnown(k.vault.known()); done {
			return signer, err
		}
		answer, err := ask(try > 0)
		if err != nil {
			return nil, err
		}
		if answer == "" {
			break
		}
		k.vault.learn(Secret(answer))
	}
	if done, signer, err := f.tryKnown(k.vault.known()); done {
		return signer, err
	}
	return nil, f.giveUp(fmt.Errorf("key %s was not decrypted: no passphrase given fits", f.path))
}

// tryKnown tries those passphrases that have not been tried on f. done means that the outcome
// is final.
func (f *keyFile) tryKnown(passphrases []Secret) (done bool, signer ssh.Signer, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.opened == nil && f.gaveUp == nil && f.tried < len(passphrases) {
		signer, err := ssh.ParsePrivateKeyWithPassphrase(f.sealed, []byte(passphrases[f.tried].Reveal()))
		f.tried++
		switch {
		case err == nil:
			f.opened = signer
		case f.telling() && !errors.Is(err, x509.IncorrectPasswordError):
			f.gaveUp = fmt.Errorf("decrypt key %s: %w", f.path, err)
		}
	}
	return f.opened != nil || f.gaveUp != nil, f.opened, f.gaveUp
}

// telling reports whether the format of the key tells a wrong passphrase from a damaged key. Of the
// old ones, one passphrase in 256 seems to fit, and makes rubbish of the key.
func (f *keyFile) telling() bool {
	return bytes.Contains(f.sealed, []byte("BEGIN OPENSSH PRIVATE KEY"))
}

func (f *keyFile) giveUp(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gaveUp = err
	return err
}
