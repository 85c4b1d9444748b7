package fleet

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/crypto/blake2b"

	"spore/remote"
)

// Binaries returns a function that finds the binary for a system: this process's own, or the one
// called spore-<os>-<arch> beside it or in the user's cache, in spore/bin/<version>. Each is hashed
// once, and has to be a spore for that system.
func Binaries(version string) (func(goos, goarch string) (remote.Binary, error), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	dirs := []string{filepath.Dir(self)}
	if cache, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(cache, "spore", "bin", version))
	}
	own := sync.OnceValues(func() (remote.Binary, error) { return hash(self) })
	go func() { _, _ = own() }() // while the connections are being made
	var mu sync.Mutex
	others := map[string]func() (remote.Binary, error){}
	return func(goos, goarch string) (remote.Binary, error) {
		if goos == runtime.GOOS && goarch == runtime.GOARCH {
			return own()
		}
		// These are the host's own words, and are about to be part of a path.
		if !systemName(goos) || !systemName(goarch) {
			return remote.Binary{}, fmt.Errorf("the host says that it is %q/%q, for which there can be no binary", goos, goarch)
		}
		mu.Lock()
		f, ok := others[goos+"-"+goarch]
		if !ok {
			f = sync.OnceValues(func() (remote.Binary, error) { return other(dirs, goos, goarch, version) })
			others[goos+"-"+goarch] = f
		}
		mu.Unlock()
		return f()
	}, nil
}

func systemName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// other finds the binary for another system in one of dirs.
func other(dirs []string, goos, goarch, version string) (remote.Binary, error) {
	name := "spore-" + goos + "-" + goarch
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := built(path, goos, goarch); err != nil {
			return remote.Binary{}, fmt.Errorf("the host is %s/%s, and %s will not do: %w", goos, goarch, path, err)
		}
		return hash(path)
	}
	return remote.Binary{}, fmt.Errorf("the host is %[1]s/%[2]s and there is no %[3]s in %[4]s: take it from the release %[5]s, or build it "+
		"from the sources of this binary with: CGO_ENABLED=0 GOOS=%[1]s GOARCH=%[2]s go build -o %[6]s ./cmd/spore",
		goos, goarch, name, strings.Join(dirs, " or "), version, filepath.Join(dirs[0], name))
}

// built reports why a file is no spore for a system. Of which version it is shows when it runs.
func built(path, goos, goarch string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("it is no spore: %w", err)
	}
	of := map[string]string{}
	for _, s := range info.Settings {
		of[s.Key] = s.Value
	}
	switch {
	case info.Path != "spore/cmd/spore":
		return fmt.Errorf("it is no spore, but %s", info.Path)
	case of["GOOS"] != goos || of["GOARCH"] != goarch:
		return fmt.Errorf("it is for %s/%s", of["GOOS"], of["GOARCH"])
	}
	return nil
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
