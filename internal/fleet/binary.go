package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/crypto/blake2b"

	"spore/remote"
)

// Binaries returns a function that finds the binary for a system: this process's own, or the one
// called spore-<os>-<arch> beside it. Each is hashed once.
func Binaries() (func(goos, goarch string) (remote.Binary, error), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	own := sync.OnceValues(func() (remote.Binary, error) { return hash(self) })
	go func() { _, _ = own() }() // while the connections are being made
	var mu sync.Mutex
	others := map[string]func() (remote.Binary, error){}
	return func(goos, goarch string) (remote.Binary, error) {
		if goos == runtime.GOOS && goarch == runtime.GOARCH {
			return own()
		}
		path := filepath.Join(filepath.Dir(self), "spore-"+goos+"-"+goarch)
		mu.Lock()
		f, ok := others[path]
		if !ok {
			f = sync.OnceValues(func() (remote.Binary, error) { return hash(path) })
			others[path] = f
		}
		mu.Unlock()
		b, err := f()
		if err != nil {
			return b, fmt.Errorf("the host is %s/%s and there is no %s: build it with GOOS=%s GOARCH=%s go build -o %s ./cmd/spore",
				goos, goarch, path, goos, goarch, path)
		}
		return b, nil
	}, nil
}

func hash(path string) (remote.Binary, error) {
	f, err := os.Open(path)
	if err != nil {
		return remote.Binary{}, err
	}
	defer f.Close()
	sha := sha256.New()
	blake, err := blake2b.New512(nil)
	if err != nil {
		return remote.Binary{}, err
	}
	n, err := io.Copy(io.MultiWriter(sha, blake), f)
	if err != nil {
		return remote.Binary{}, err
	}
	return remote.Binary{
		Path: path, SHA256: hex.EncodeToString(sha.Sum(nil)), BLAKE2b: hex.EncodeToString(blake.Sum(nil)), Size: n,
		Parcel: remote.NewParcel(path, n),
	}, nil
}
