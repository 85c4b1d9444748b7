package secret

import (
	"bytes"
	"strings"
	"testing"
)

func TestEncrypt(t *testing.T) {
	identity, recipient := newIdentity(t)
	if again, err := RecipientOf(identity); err != nil || again != recipient {
		t.Errorf("the recipient is %q (%v), want %q", again, err, recipient)
	}
	for name, plaintext := range map[string][]byte{
		"text": []byte("the key"), "nothing": {}, "long": bytes.Repeat([]byte("spore "), 50000),
	} {
		t.Run(name, func(t *testing.T) {
			ciphertext := encryptFor(t, recipient, plaintext)
			if len(plaintext) > 0 && bytes.Contains(ciphertext, plaintext) {
				t.Error("the plaintext stands in the ciphertext")
			}
			got, err := Decrypt(identity, ciphertext)
			if err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("got %d bytes (%v), want %d", len(got), err, len(plaintext))
			}
			ciphertext[len(ciphertext)-1] ^= 1
			if got, err := Decrypt(identity, ciphertext); err == nil || got != nil {
				t.Errorf("got %q (%v) from what was damaged", got, err)
			}
		})
	}
}

func TestDecryptByAnother(t *testing.T) {
	_, recipient := newIdentity(t)
	other, _ := newIdentity(t)
	if got, err := Decrypt(other, encryptFor(t, recipient, []byte("the key"))); err == nil {
		t.Errorf("another identity decrypted %q", got)
	}
}

func TestEncryptRefuses(t *testing.T) {
	identity, _ := newIdentity(t)
	for _, recipient := range []string{"", "age1", "ssh-ed25519 AAAA"} {
		if _, err := Encrypt(recipient, nil); err == nil {
			t.Errorf("encrypted for %q", recipient)
		}
	}
	malformed := identity[:len(identity)-1]
	for what, use := range map[string]func() error{
		"Decrypt":     func() error { _, err := Decrypt(malformed, nil); return err },
		"RecipientOf": func() error { _, err := RecipientOf(malformed); return err },
	} {
		if err := use(); err == nil || strings.Contains(err.Error(), malformed) {
			t.Errorf("%s: got %v, want an error without the identity", what, err)
		}
	}
}

func newIdentity(t *testing.T) (identity, recipient string) {
	t.Helper()
	identity, recipient, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return identity, recipient
}

func encryptFor(t *testing.T, recipient string, plaintext []byte) []byte {
	t.Helper()
	ciphertext, err := Encrypt(recipient, plaintext)
	if err != nil {
		t.Fatal(err)
	}
	return ciphertext
}
