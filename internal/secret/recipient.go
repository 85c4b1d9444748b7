package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// NewIdentity returns a new age identity, which is secret, and its recipient, which is not: what is
// encrypted for the recipient can be decrypted with the identity alone.
func NewIdentity() (identity, recipient string, err error) {
	i, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", fmt.Errorf("make age identity: %w", err)
	}
	return i.String(), i.Recipient().String(), nil
}

// RecipientOf returns the recipient of an identity of NewIdentity's.
func RecipientOf(identity string) (string, error) {
	i, err := parseIdentity(identity)
	if err != nil {
		return "", err
	}
	return i.Recipient().String(), nil
}

// Encrypt encrypts plaintext for a recipient of NewIdentity's. It is not signed: anyone who knows
// the recipient may have made it.
func Encrypt(recipient string, plaintext []byte) ([]byte, error) {
	r, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		// The error would quote it, and it may be an identity that took its place.
		return nil, errors.New("encrypt: the age recipient is malformed")
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, r)
	if err != nil {
		return nil, fmt.Errorf("encrypt for %s: %w", recipient, err)
	}
	if _, err := w.Write(plaintext); err != nil {
		return nil, fmt.Errorf("encrypt for %s: %w", recipient, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encrypt for %s: %w", recipient, err)
	}
	return out.Bytes(), nil
}

// Decrypt returns what Encrypt encrypted for the recipient of identity. Nothing is returned of what
// was damaged.
func Decrypt(identity string, ciphertext []byte) ([]byte, error) {
	i, err := parseIdentity(identity)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(ciphertext), i)
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	plaintext, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	return plaintext, nil
}

// parseIdentity says nothing of the identity if it is malformed, as age's own error might.
func parseIdentity(identity string) (*age.X25519Identity, error) {
	i, err := age.ParseX25519Identity(identity)
	if err != nil {
		return nil, errors.New("read age identity: it is malformed")
	}
	return i, nil
}
