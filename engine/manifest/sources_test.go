package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"spore/engine"
)

// plant writes a graph file with a tree beside it and returns their directory.
func plant(t *testing.T, sources ...string) string {
	t.Helper()
	dir := t.TempDir()
	graph := "resources:\n  file:\n"
	for i, source := range sources {
		graph += fmt.Sprintf("  - {name: /%d, source: %s}\n", i, source)
	}
	for name, text := range map[string]string{
		"g.yaml": graph, "tree/sub/one": "1", "tree/two": "22", "elsewhere": "does not travel",
	} {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	must(t, os.Symlink("../elsewhere", filepath.Join(dir, "tree/up")))
	must(t, os.Symlink("tree/two", filepath.Join(dir, "link")))
	must(t, os.Symlink("/etc", filepath.Join(dir, "out")))
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sourceOf returns the first file of the graph in dir.
func sourceOf(t *testing.T, dir string) (*Manifest, file) {
	t.Helper()
	m := load(t, filepath.Join(dir, "g.yaml"))
	return m, m.Program.Graph.Vertex(engine.ID{Kind: "file", Name: "/0"}).Spec.(file)
}

// TestSources checks what travels with a graph.
func TestSources(t *testing.T) {
	dir := plant(t, "tree/", "tree/sub/one", "link", "/absolute")
	m, tree := sourceOf(t, dir)
	equal(t, "source", tree.From, filepath.Join(dir, "tree")+"/")
	equal(t, "absolute source", m.Program.Graph.Vertex(engine.ID{Kind: "file", Name: "/3"}).Spec,
		file{Path: "/3", From: "/absolute", State: "exists"})
	var names []string
	for _, f := range m.Files {
		names = append(names, fmt.Sprintf("%s %v %d %s", f.Name, f.Mode, f.Size, f.Target))
		if f.Path != filepath.Join(dir, f.Name) || f.Mode.IsRegular() != (len(f.Digest) == 64) {
			t.Errorf("file %+v", f)
		}
	}
	equal(t, "files", strings.Join(names, "\n"), strings.Join([]string{
		"link -rw-r--r-- 2 ", "tree drwxr-xr-x 0 ", "tree/sub drwxr-xr-x 0 ", "tree/sub/one -rw-r--r-- 1 ",
		"tree/two -rw-r--r-- 2 ", "tree/up Lrwxrwxrwx 0 ../elsewhere",
	}, "\n"))
}

// TestSourceDigest checks that the digests tell every change of what travels, and no other.
func TestSourceDigest(t *testing.T) {
	seen := map[string]string{}
	for _, c := range []struct {
		what   string
		same   bool
		change func(dir string) error
	}{
		{"nothing", true, func(string) error { return nil }},
		{"a file that does not travel", true, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "elsewhere"), []byte("x"), 0o644)
		}},
		{"content", false, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "tree/two"), []byte("23"), 0o644)
		}},
		{"mode", false, func(dir string) error { return os.Chmod(filepath.Join(dir, "tree/two"), 0o600) }},
		{"directory's mode", false, func(dir string) error { return os.Chmod(filepath.Join(dir, "tree/sub"), 0o700) }},
		{"name", false, func(dir string) error {
			return os.Rename(filepath.Join(dir, "tree/two"), filepath.Join(dir, "tree/three"))
		}},
		{"place", false, func(dir string) error {
			return os.Rename(filepath.Join(dir, "tree/sub/one"), filepath.Join(dir, "tree/one"))
		}},
		{"link gone", false, func(dir string) error { return os.Remove(filepath.Join(dir, "tree/up")) }},
		{"new file", false, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "tree/new"), nil, 0o644)
		}},
	} {
		dir := plant(t, "tree")
		must(t, c.change(dir))
		m, f := sourceOf(t, dir)
		both := f.Digest + " " + m.Digest()
		if other, ok := seen[both]; ok != (c.same && c.what != "nothing") {
			t.Errorf("%s: digests %s were seen before: %v (%s)", c.what, both, ok, other)
		}
		seen[both] = c.what
	}
	m, f := sourceOf(t, plant(t, "tree", "tree"))
	if other, ok := seen[f.Digest+" "+m.Digest()]; ok {
		t.Errorf("another text has the digests of a change of %s", other)
	}
}

// TestSourcesRefused checks that nothing outside the directory is read, nor what cannot travel.
func TestSourcesRefused(t *testing.T) {
	for source, want := range map[string]string{
		"out/passwd": "leads out of the directory of the graph file through a symbolic link",
		"out":        "leads out of the directory of the graph file through a symbolic link",
		"tree/up/":   "is not a directory, but ends with a slash",
		"pipes":      "neither a file, nor a directory, nor a symbolic link",
		"pipes/pipe": "neither a file, nor a directory, nor a symbolic link",
		"none":       `there is no "none" in the directory of the graph file`,
	} {
		t.Run(source, func(t *testing.T) {
			dir := plant(t, source)
			must(t, os.Mkdir(filepath.Join(dir, "pipes"), 0o755))
			must(t, syscall.Mkfifo(filepath.Join(dir, "pipes/pipe"), 0o644))
			_, err := Load(filepath.Join(dir, "g.yaml"), options())
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "g.yaml:3:24: ") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestSourceAsLinkAndContent refuses a link that would have to be two things on the host.
func TestSourceAsLinkAndContent(t *testing.T) {
	_, err := Load(filepath.Join(plant(t, "tree/up", "tree"), "g.yaml"), options())
	if err == nil || !strings.Contains(err.Error(), "is a symbolic link within another source") {
		t.Errorf("got %v", err)
	}
}
