package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// An entry is one of an archive that somebody made who means no good.
type entry struct {
	name, target, content string
	kind                  byte
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.target, Typeflag: e.kind, Mode: 0o7777, Size: int64(len(e.content))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestUnpackRefusesHostileBundles(t *testing.T) {
	file := func(name string) entry { return entry{name: name, content: "x", kind: tar.TypeReg} }
	link := func(name, target string) entry { return entry{name: name, target: target, kind: tar.TypeSymlink} }
	for name, entries := range map[string][]entry{
		"up":                  {file("../out")},
		"up in between":       {file("a/../../out")},
		"up within":           {file("a/../b")},
		"absolute":            {file("/out")},
		"itself":              {{name: "./", kind: tar.TypeDir}},
		"not clean":           {file("a//b")},
		"backslash":           {file(`..\out`)},
		"through a link up":   {link("l", ".."), file("l/out")},
		"through an absolute": {link("l", "/tmp"), file("l/out")},
		"over a link":         {link("l", "../out"), file("l")},
		"twice":               {file("a"), file("a")},
		"below a file":        {file("a"), file("a/b")},
		"hard link":           {{name: "h", target: "/etc/passwd", kind: tar.TypeLink}},
		"device":              {{name: "d", kind: tar.TypeChar}},
		"pipe":                {{name: "p", kind: tar.TypeFifo}},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			content := archive(t, entries...)
			dir := filepath.Join(base, "in", "dir")
			if err := os.Mkdir(filepath.Dir(dir), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := Unpack(content, Digest(content), dir); err == nil {
				t.Error("it was unpacked")
			}
			left, _ := filepath.Glob(filepath.Join(base, "in", "*"))
			hidden, _ := filepath.Glob(filepath.Join(base, "in", ".*"))
			outside, _ := filepath.Glob(filepath.Join(base, "out"))
			if all := append(append(left, hidden...), outside...); len(all) > 0 {
				t.Errorf("left behind: %v", all)
			}
		})
	}
}

// Nothing but permissions is taken over: a bundle makes no program that runs as its owner.
func TestUnpackGivesNoSpecialModes(t *testing.T) {
	content := archive(t, entry{name: "a", content: "x", kind: tar.TypeReg}, entry{name: "d/", kind: tar.TypeDir})
	dir := filepath.Join(t.TempDir(), "dir")
	if err := Unpack(content, Digest(content), dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"a": 0o777, "d": fs.ModeDir | 0o777} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v (%v), want %v", name, info.Mode(), err, want)
		}
	}
}

func TestUnpackChecksTheDigest(t *testing.T) {
	content := archive(t, entry{name: "a", content: "x", kind: tar.TypeReg})
	digest, dir := Digest(content), filepath.Join(t.TempDir(), "dir")
	for i := range content {
		damaged := bytes.Clone(content)
		damaged[i] ^= 1
		if Unpack(damaged, digest, dir) == nil || Unpack(content[:i], digest, dir) == nil {
			t.Fatalf("damage at byte %d was not noticed", i)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is there: %v", err)
	}
}

// FuzzUnpack takes any bytes for a bundle: none may write outside of the directory or leave half of one.
func FuzzUnpack(f *testing.F) {
	whole := archive(f, entry{name: "a/b", content: "x", kind: tar.TypeReg}, entry{name: "l", target: "..", kind: tar.TypeSymlink})
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(archive(f, entry{name: "l", target: "..", kind: tar.TypeSymlink}, entry{name: "l/out", content: "x", kind: tar.TypeReg}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		base := t.TempDir()
		dir := filepath.Join(base, "dir")
		err := Unpack(content, Digest(content), dir)
		entries, _ := os.ReadDir(base)
		if want := err == nil; (len(entries) == 1) != want || len(entries) > 1 {
			t.Errorf("ended with %v and left %v", err, entries)
		}
	})
}
