package file

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"spore/engine"
	"spore/internal/fswatch"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func newKind(t testing.TB) engine.Kind {
	hub := fswatch.New(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { must(t, hub.Close()) })
	return Kind(hub)
}

func open(t testing.TB, spec Spec) *resource {
	t.Helper()
	return openAs(t, newKind(t), spec)
}

func openAs(t testing.TB, kind engine.Kind, spec Spec) *resource {
	t.Helper()
	r, err := kind.Open("name", spec, engine.Env{})
	must(t, err)
	t.Cleanup(func() { must(t, r.(*resource).Close()) })
	return r.(*resource)
}

func check(t testing.TB, r *resource) []engine.Change {
	t.Helper()
	changes, err := r.Check(t.Context())
	must(t, err)
	return changes
}

// converge applies the spec and checks that this is all there was to do.
func converge(t testing.TB, spec Spec) {
	t.Helper()
	r := open(t, spec)
	must(t, r.Apply(t.Context(), check(t, r)))
	if left := check(t, r); len(left) > 0 {
		t.Fatalf("left to do: %v", left)
	}
}

func modeOf(t testing.TB, path string) string {
	t.Helper()
	fi, err := os.Lstat(path)
	must(t, err)
	return octal(fi.Mode())
}

func contentOf(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	return string(content)
}

func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestNewFile(t *testing.T) {
	umask := syscall.Umask(0o027)
	defer syscall.Umask(umask)
	tests := []struct {
		path, mode string
		want       string
	}{
		{"f", "", "0640"}, {"f", "0666", "0666"}, {"f", "0000", "0000"}, {"f", "2755", "2755"}, {"f", "0400", "0400"},
		{"d/", "", "0750"}, {"d/", "0777", "0777"}, {"d/", "1777", "1777"}, {"d/", "0500", "0500"},
	}
	for _, test := range tests {
		t.Run(test.path+test.mode, func(t *testing.T) {
			dir := t.TempDir()
			converge(t, Spec{Path: dir + "/" + test.path, Mode: test.mode})
			if got := modeOf(t, filepath.Join(dir, test.path)); got != test.want {
				t.Errorf("mode %s, want %s", got, test.want)
			}
		})
	}
}

func TestContentLeftAlone(t *testing.T) {
	path := t.TempDir() + "/f"
	converge(t, Spec{Path: path})
	if got := contentOf(t, path); got != "" {
		t.Errorf("a new file holds %q", got)
	}
	must(t, os.WriteFile(path, []byte("text"), 0o644))
	converge(t, Spec{Path: path})
	if got := contentOf(t, path); got != "text" {
		t.Errorf("the file holds %q", got)
	}
	converge(t, Spec{Path: path, Content: ptr("")})
	if got := contentOf(t, path); got != "" {
		t.Errorf("the emptied file holds %q", got)
	}
}

func TestPreserves(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o664, 0o755, 0o755 | fs.ModeSetuid, 0o444} {
		path := t.TempDir() + "/f"
		must(t, os.WriteFile(path, []byte("old"), 0o600), os.Chmod(path, mode))
		want := octal(mode)
		attr := unix.Setxattr(path, "user.spore", []byte("kept"), 0)
		if os.Getuid() == 0 {
			must(t, os.Chown(path, 12345, 54321), os.Chmod(path, mode))
		}
		converge(t, Spec{Path: path, Content: ptr("new")})
		if got := modeOf(t, path); got != want {
			t.Errorf("mode %s became %s", want, got)
		}
		fi, err := os.Stat(path)
		must(t, err)
		if uid, gid := owners(fi); os.Getuid() == 0 && (uid != 12345 || gid != 54321) {
			t.Errorf("owner became %d:%d", uid, gid)
		}
		buf := make([]byte, 10)
		if n, err := unix.Getxattr(path, "user.spore", buf); attr == nil && (err != nil || string(buf[:n]) != "kept") {
			t.Errorf("attribute became %q, %v", buf[:max(n, 0)], err)
		}
	}
}

// A spy looks at the draft while its content is written.
type spy struct{ look func() }

func (s spy) size() int64 { return 1 }
func (s spy) open() (io.ReadCloser, error) {
	s.look()
	return io.NopCloser(strings.NewReader("x")), nil
}

func TestNeverWider(t *testing.T) {
	for _, old := range []string{"", "0644", "0600"} {
		for _, mode := range []string{"0600", "0640", "0400", "0000"} {
			t.Run(old+" "+mode, func(t *testing.T) {
				dir := t.TempDir()
				if old != "" {
					m, _ := parseMode(old)
					must(t, os.WriteFile(dir+"/f", []byte("old"), 0o600), os.Chmod(dir+"/f", m))
				}
				r := open(t, Spec{Path: dir + "/f", Mode: mode, Content: ptr("x")})
				wants, err := r.wants(t.Context())
				must(t, err)
				looked := 0
				wants[0].body = spy{func() {
					for _, name := range strings.Fields(names(t, dir)) {
						if isDraft(name) {
							looked++
							if got := modeOf(t, dir+"/"+name); got != mode {
								t.Errorf("the draft has mode %s, want %s", got, mode)
							}
						}
					}
				}}
				must(t, wants[0].apply(t.Context(), r.drafts))
				if looked == 0 {
					t.Error("no draft was seen")
				}
				if got := modeOf(t, dir+"/f"); got != mode {
					t.Errorf("mode %s, want %s", got, mode)
				}
			})
		}
	}
}

func TestNoParent(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/file", nil, 0o644))
	for parent, want := range map[string]string{
		"none": "parent directory " + dir + "/none does not exist; declare a file resource " + dir + "/none/",
		"file": "parent directory " + dir + "/file is not a directory",
	} {
		r := open(t, Spec{Path: dir + "/" + parent + "/f", Content: ptr("x")})
		if changes := check(t, r); len(changes) != 1 || changes[0].Field != "state" {
			t.Errorf("changes: %v", changes)
		}
		if err := r.Apply(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	}
}

func TestUndefined(t *testing.T) {
	path := t.TempDir() + "/f"
	spec := Spec{Path: path, State: Undefined, Content: ptr("text")}
	converge(t, spec)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("it was created: %v", err)
	}
	must(t, os.WriteFile(path, nil, 0o644))
	converge(t, spec)
	if got := contentOf(t, path); got != "text" {
		t.Errorf("it holds %q", got)
	}
}

func TestOwner(t *testing.T) {
	path := t.TempDir() + "/f"
	must(t, os.WriteFile(path, nil, 0o644))
	converge(t, Spec{Path: path, Owner: fmt.Sprint(os.Getuid()), Group: fmt.Sprint(os.Getgid())})

	r := open(t, Spec{Path: path, Owner: "no-such-user"})
	if changes := check(t, r); len(changes) != 1 || !strings.Contains(changes[0].To, "does not exist yet") {
		t.Errorf("changes: %v", changes)
	}
	if err := r.Apply(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "no-such-user does not exist") {
		t.Errorf("got %v", err)
	}

	r = open(t, Spec{Path: path, Owner: "12345", Group: "54321", Mode: "0600"})
	err := r.Apply(t.Context(), nil)
	if os.Getuid() != 0 {
		if err == nil || !strings.Contains(err.Error(), "set owner of "+path) {
			t.Errorf("got %v", err)
		}
		return
	}
	must(t, err)
	if left := check(t, r); len(left) > 0 {
		t.Errorf("left to do: %v", left)
	}
	converge(t, Spec{Path: path + "2", Owner: "12345", Group: "54321", Content: ptr("x"), Mode: "4711"})
	if got := modeOf(t, path+"2"); got != "4711" {
		t.Errorf("mode %s", got)
	}
}

func TestCancelled(t *testing.T) {
	path := t.TempDir() + "/f"
	must(t, os.WriteFile(path, []byte("old"), 0o644))
	ctx, cancel := context.WithCancel(t.Context())
	r := open(t, Spec{Path: path, Content: ptr("x")})
	wants, err := r.wants(ctx)
	must(t, err)
	wants[0].body = spy{cancel}
	if err := wants[0].apply(ctx, r.drafts); err == nil {
		t.Error("a cancelled apply went on")
	}
	if got := names(t, filepath.Dir(path)); got != "f" || contentOf(t, path) != "old" {
		t.Errorf("left %s", got)
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	must(t,
		os.WriteFile(dir+"/.spore-dead.tmp", nil, 0o600),
		os.MkdirAll(dir+"/.spore-deaddir.tmp/sub", 0o700),
		os.WriteFile(dir+"/.spore-live.tmp", nil, 0o600),
		os.WriteFile(dir+"/.spore-other", nil, 0o600),
		os.Symlink("x", dir+"/.spore-newlink.tmp"))
	live, err := os.Open(dir + "/.spore-live.tmp")
	must(t, err, unix.Flock(int(live.Fd()), unix.LOCK_EX))
	defer live.Close()
	converge(t, Spec{Path: dir + "/f"})
	if got, want := names(t, dir), ".spore-live.tmp .spore-newlink.tmp .spore-other f"; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
}
