package fswatch_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spore/internal/fswatch"
)

const deadline = time.Minute

func newHub(t *testing.T) *fswatch.Hub {
	h := fswatch.New(slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// A viewer looks at a path whenever it is told to. What it saw last must be what is there: that is
// all that a user of the hub needs.
type viewer struct {
	t     *testing.T
	path  string
	tree  bool
	saw   chan string
	last  string // of saw
	ended chan error
	stop  context.CancelFunc
}

func view(t *testing.T, h *fswatch.Hub, path string, tree bool) *viewer {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	v := &viewer{t: t, path: path, tree: tree, saw: make(chan string, 1), ended: make(chan error, 1), stop: stop}
	go func() {
		v.ended <- h.Watch(ctx, path, fswatch.Options{Recursive: tree}, func() {
			look := v.look()
			select { // the latest view replaces one that nobody took
			case <-v.saw:
			default:
			}
			v.saw <- look
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-v.ended; err != nil {
			t.Error(err)
		}
	})
	v.wait()
	return v
}

func (v *viewer) look() string {
	var b strings.Builder
	show := func(path string, stat func(string) (fs.FileInfo, error)) {
		fi, err := stat(path)
		if err != nil {
			fmt.Fprintf(&b, "%s missing\n", path)
			return
		}
		fmt.Fprintf(&b, "%s %s", path, fi.Mode())
		if fi.Mode().IsRegular() {
			content, _ := os.ReadFile(path)
			fmt.Fprintf(&b, " %q", content)
		}
		b.WriteByte('\n')
	}
	show(v.path, os.Stat)
	if v.tree {
		root, _ := filepath.EvalSymlinks(v.path)
		_ = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && path != root {
				show(path, os.Lstat)
			}
			return nil
		})
	}
	return b.String()
}

// wait waits until what was seen last is what is there now.
func (v *viewer) wait() {
	v.t.Helper()
	timeout := time.After(deadline)
	for v.last != v.look() {
		select {
		case v.last = <-v.saw:
		case err := <-v.ended:
			v.ended <- nil
			v.t.Fatalf("the watch of %s ended: %v", v.path, err)
		case <-timeout:
			v.t.Fatalf("watching %s; saw last:\n%sthere is:\n%s", v.path, v.last, v.look())
		}
	}
}

// A step changes what a viewer sees; each is a different view, so none can be mistaken for another.
type step func(dir string) error

func write(name, content string) step {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644) }
}

func replace(name, content string) step {
	return func(dir string) error {
		tmp := filepath.Join(dir, name+".tmp")
		if err := os.WriteFile(tmp, []byte(content), 0o644); err != nil {
			return err
		}
		return os.Rename(tmp, filepath.Join(dir, name))
	}
}

func mkdir(name string) step {
	return func(dir string) error { return os.MkdirAll(filepath.Join(dir, name), 0o755) }
}

func remove(name string) step {
	return func(dir string) error { return os.RemoveAll(filepath.Join(dir, name)) }
}

func rename(from, to string) step {
	return func(dir string) error { return os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)) }
}

func chmod(name string, mode fs.FileMode) step {
	return func(dir string) error { return os.Chmod(filepath.Join(dir, name), mode) }
}

// link makes name a symlink to target, in place of whatever it was.
func link(target, name string) step {
	return func(dir string) error {
		tmp := filepath.Join(dir, "link.tmp")
		if err := os.Symlink(target, tmp); err != nil {
			return err
		}
		return os.Rename(tmp, filepath.Join(dir, name))
	}
}

func all(steps ...step) step {
	return func(dir string) error {
		for _, s := range steps {
			if err := s(dir); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestWatch(t *testing.T) {
	tests := []struct {
		name  string
		path  string
		tree  bool
		start step
		steps []step
	}{
		{"file", "f", false, all(), []step{
			write("f", "1"), write("f", "22"), chmod("f", 0o600), remove("f"), write("f", "3"),
		}},
		{"atomic replaces", "f", false, write("f", "1"), []step{
			replace("f", "2"), replace("f", "3"), write("f", "4"), replace("f", "5"),
		}},
		{"missing parents", "a/b/c/f", false, all(), []step{
			all(mkdir("a/b/c"), write("a/b/c/f", "1")), remove("a"),
			all(mkdir("a/b/c"), write("a/b/c/f", "2")), remove("a/b"),
			all(mkdir("a/b"), mkdir("a/b/c"), write("a/b/c/f", "3")), write("a/b/c/f", "4"),
		}},
		{"parent replaced", "a/b/f", false, all(mkdir("a/b"), write("a/b/f", "1"), mkdir("z/b"), write("z/b/f", "2")), []step{
			all(rename("a", "old"), rename("z", "a")), write("a/b/f", "3"),
			all(rename("a", "z"), rename("old", "a")), write("a/b/f", "4"),
		}},
		{"moved and removed at once", "a/f", false, all(mkdir("a"), write("a/f", "1")), []step{
			all(rename("a", "x"), remove("x")), all(mkdir("a"), write("a/f", "2")),
			all(rename("a", "x"), remove("x"), mkdir("a"), write("a/f", "3")), write("a/f", "4"),
		}},
		{"parent is a file for a while", "a/f", false, write("a", "x"), []step{
			all(remove("a"), mkdir("a"), write("a/f", "1")), all(remove("a"), write("a", "y")),
			all(remove("a"), mkdir("a"), write("a/f", "2")),
		}},
		{"symlink on the way", "l/f", false, all(mkdir("1"), mkdir("2"), write("1/f", "1"), write("2/f", "2"), link("1", "l")), []step{
			write("1/f", "one"), link("2", "l"), write("2/f", "two"), replace("2/f", "three"), link("none", "l"),
			all(mkdir("none"), write("none/f", "4")),
		}},
		{"symlink upwards", "a/l/f", false, all(mkdir("a"), mkdir("b"), link("../b", "a/l"), write("b/f", "1")), []step{
			write("b/f", "2"), all(rename("b", "c"), mkdir("b")), write("b/f", "3"),
		}},
		{"symlink at the end", "f", false, all(write("t", "1"), link("t", "f")), []step{
			write("t", "2"), replace("t", "3"), remove("t"), write("t", "4"), all(write("u", "5"), link("u", "f")), write("u", "6"),
		}},
		{"symlink to itself", "f", false, link("f", "f"), []step{all(remove("f"), write("f", "1"))}},
		{"directory", "d", false, mkdir("d"), []step{
			chmod("d", 0o700), remove("d"), mkdir("d"), all(rename("d", "e"), write("d", "file")),
		}},
		{"tree", "d", true, all(), []step{
			all(mkdir("d/a/b"), write("d/a/b/f", "1")), write("d/a/b/f", "2"), mkdir("d/x/y"),
			write("d/x/y/f", "3"), all(rename("d/a", "d/c"), write("d/c/b/f", "4")), write("d/c/b/g", "5"),
			rename("d/c", "out"), all(write("out/b/f", "6"), rename("out", "d/a")), write("d/a/b/f", "7"),
			remove("d"), all(mkdir("d/a/b"), write("d/a/b/f", "8")), replace("d/a/b/f", "9"), chmod("d/a", 0o700),
		}},
		{"tree replaced", "d", true, all(mkdir("d/a"), mkdir("e/a"), write("d/a/f", "1"), write("e/a/f", "2")), []step{
			all(rename("d", "old"), rename("e", "d")), write("d/a/f", "3"),
			all(remove("d/a"), mkdir("d/a"), write("d/a/f", "4")), write("d/a/f", "5"),
		}},
		{"tree behind a symlink", "l", true, all(mkdir("d/a"), link("d", "l")), []step{
			write("d/a/f", "1"), all(mkdir("e/a"), write("e/a/f", "2"), link("e", "l")), write("e/a/f", "3"),
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := test.start(dir); err != nil {
				t.Fatal(err)
			}
			v := view(t, newHub(t), filepath.Join(dir, test.path), test.tree)
			for i, s := range test.steps {
				before := v.look()
				if err := s(dir); err != nil {
					t.Fatal(err)
				}
				if v.look() == before {
					t.Fatalf("step %d changes nothing", i)
				}
				v.wait()
			}
		})
	}
}

func TestWatchEnds(t *testing.T) {
	h := fswatch.New(slog.New(slog.DiscardHandler))
	if err := h.Watch(t.Context(), "relative", fswatch.Options{}, func() {}); err == nil {
		t.Error("a relative path was watched")
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := h.Watch(ctx, t.TempDir(), fswatch.Options{}, cancel); err != nil {
		t.Errorf("a cancelled watch: %v", err)
	}
	err := h.Watch(t.Context(), t.TempDir(), fswatch.Options{}, func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	if err == nil || !strings.Contains(err.Error(), fswatch.ErrClosed.Error()) {
		t.Errorf("after Close: %v", err)
	}
	if err := h.Watch(t.Context(), t.TempDir(), fswatch.Options{}, func() {}); err == nil {
		t.Error("a closed hub watches")
	}
}

func TestCloseUnused(t *testing.T) {
	h := fswatch.New(slog.New(slog.DiscardHandler))
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
