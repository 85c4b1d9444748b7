package resident

import (
	"encoding/hex"
	"io"
	"os"

	"golang.org/x/crypto/blake2b"
)

// digestOf returns what names a binary: the first half of its BLAKE2b-512, in hex, as in remote.Binary.
func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h, err := blake2b.New512(nil)
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:h.Size()/2]), nil
}
