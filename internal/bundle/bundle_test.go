package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"spore/engine/manifest"
)

// A source is a directory with files to be packed.
type source struct {
	dir   string
	files []manifest.File
}

func (s *source) file(t *testing.T, name, content string, mode fs.FileMode) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	s.files = append(s.files, manifest.File{
		Name: name, Path: path, Mode: mode, Size: int64(len(content)), Digest: hex.EncodeToString(sum[:]),
	})
}

func newSource(t *testing.T) *source {
	s := &source{dir: t.TempDir()}
	s.files = []manifest.File{{Name: "d", Mode: fs.ModeDir | 0o555}, {Name: "d/empty", Mode: fs.ModeDir | 0o700}}
	s.file(t, "d/in", "inside", 0o640)
	s.file(t, "run.sh", "#!/bin/sh\n", 0o755)
	s.file(t, "deep/er/one", "", 0o600)
	s.files = append(s.files,
		manifest.File{Name: "d/link", Mode: fs.ModeSymlink | 0o777, Target: "in"},
		manifest.File{Name: "away", Mode: fs.ModeSymlink | 0o777, Target: "/etc/../nowhere"})
	return s
}

func TestRoundTrip(t *testing.T) {
	s := newSource(t)
	content, digest, err := Pack(s.files)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), digest)
	for range 2 { // what is there is left alone
		if err := Unpack(content, digest, dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range s.files {
		path := filepath.Join(dir, f.Name)
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode(); got != f.Mode {
			t.Errorf("%s is %v, want %v", f.Name, got, f.Mode)
		}
		if f.Target != "" {
			if got, _ := os.Readlink(path); got != f.Target {
				t.Errorf("%s points to %q, want %q", f.Name, got, f.Target)
			}
		} else if f.Mode.IsRegular() {
			got, _ := os.ReadFile(path)
			want, _ := os.ReadFile(f.Path)
			if !bytes.Equal(got, want) {
				t.Errorf("%s holds %q, want %q", f.Name, got, want)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSameFilesMakeTheSameBundle(t *testing.T) {
	s := newSource(t)
	first, digest, err := Pack(s.files)
	if err != nil {
		t.Fatal(err)
	}
	other := newSource(t) // other dates, other directory
	rand.Shuffle(len(other.files), func(i, j int) { other.files[i], other.files[j] = other.files[j], other.files[i] })
	second, otherDigest, err := Pack(other.files)
	if err != nil || !bytes.Equal(first, second) || digest != otherDigest {
		t.Errorf("the bundles differ (%v)", err)
	}
	other.files[0].Mode ^= 0o001
	if _, d, err := Pack(other.files); err != nil || d == digest {
		t.Errorf("another mode makes no other bundle (%v)", err)
	}
	if content, digest, err := Pack(nil); err != nil || Unpack(content, digest, filepath.Join(t.TempDir(), "none")) != nil {
		t.Errorf("no files make no bundle: %v", err)
	}
}

func TestPackRefusesWhatHasChanged(t *testing.T) {
	for _, now := range []string{"insidf", "in", "inside and more", ""} {
		s := newSource(t)
		i := slices.IndexFunc(s.files, func(f manifest.File) bool { return f.Name == "d/in" })
		if err := os.WriteFile(s.files[i].Path, []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Pack(s.files); !errors.Is(err, errChanged) {
			t.Errorf("%q in place of what was listed: %v", now, err)
		}
	}
	if _, _, err := Pack([]manifest.File{{Name: "p", Mode: fs.ModeNamedPipe}}); err == nil {
		t.Error("a pipe was packed")
	}
}

func TestPackRefusesTooMuch(t *testing.T) {
	s := &source{dir: t.TempDir()}
	noise := make([]byte, 2<<20)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(noise)
	s.file(t, "noise", string(noise), 0o600)
	if _, err := pack(s.files, 1<<20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want %v", err, ErrTooLarge)
	}
	s.files[0].Size = MaxUnpacked + 1
	if _, _, err := Pack(s.files); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want %v", err, ErrTooLarge)
	}
	if _, _, err := Pack(make([]manifest.File, maxEntries+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want %v", err, ErrTooLarge)
	}
}
