// Package bundle packs what travels with a graph into one piece for the store, and unpacks it on a
// host.
package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

const (
	// MaxSize is how many bytes a bundle may have: the store keeps all of it in memory.
	MaxSize = 16 << 20
	// MaxUnpacked is how many bytes the files in a bundle may have together.
	MaxUnpacked = 512 << 20
	// maxEntries bounds what a bundle of empty files can do to a file system.
	maxEntries = 100_000
)

// ErrTooLarge is returned for more than a bundle may hold.
var ErrTooLarge = errors.New("too large to travel through the store")

// Digest returns what a bundle is known by: its SHA-256 in hex.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// A bounded buffer refuses to grow beyond its limit.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		return 0, fmt.Errorf("%w: more than %d MiB even if compressed; have the hosts fetch large files from elsewhere", ErrTooLarge, b.limit>>20)
	}
	return b.Buffer.Write(p)
}
