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

// Whatever is found, without force it is an error that says so, and with force it is replaced.
func TestTypes(t *testing.T) {
	found := map[string]func(path string) error{
		"file":      func(path string) error { return os.WriteFile(path, []byte("old"), 0o644) },
		"directory": func(path string) error { return os.MkdirAll(path+"/sub/dir", 0o755) },
		"link":      func(path string) error { return os.Symlink("target", path) },
		"dangling":  func(path string) error { return os.Symlink("nowhere", path) },
		"fifo":      func(path string) error { return unix.Mkfifo(path, 0o644) },
	}
	declared := map[string]Spec{
		"file":      {Path: "/x", Content: ptr("new")},
		"empty":     {Path: "/x"},
		"directory": {Path: "/x/"},
		"absent":    {Path: "/x", State: Absent},
		"no dir":    {Path: "/x/", State: Absent, Recurse: true},
	}
	fine := []string{"file file", "file empty", "directory directory", "file absent", "link absent", "dangling absent", "fifo absent"}
	for have, create := range found {
		for want, spec := range declared {
			for _, force := range []bool{false, true} {
				t.Run(fmt.Sprint(have, want, force), func(t *testing.T) {
					dir := t.TempDir()
					must(t, create(dir+"/x"), os.WriteFile(dir+"/target", []byte("target"), 0o600))
					spec := spec
					spec.Path, spec.Force = dir+spec.Path, force
					r := open(t, spec)
					_, err := r.Check(t.Context())
					ok := force || strings.Contains(strings.Join(fine, ","), have+" "+want)
					if (err == nil) != ok {
						t.Fatalf("check: %v", err)
					}
					before := names(t, dir)
					err = r.Apply(t.Context(), nil)
					if (err == nil) != ok {
						t.Fatalf("apply: %v", err)
					}
					if !ok {
						if !strings.Contains(err.Error(), "force: true") || names(t, dir) != before {
							t.Errorf("%v; %s became %s", err, before, names(t, dir))
						}
						return
					}
					if left := check(t, r); len(left) > 0 {
						t.Errorf("left to do: %v", left)
					}
					if got := strings.TrimSuffix(names(t, dir), " x"); got != "target" || contentOf(t, dir+"/target") != "target" {
						t.Errorf("in the directory: %s", names(t, dir))
					}
				})
			}
		}
	}
}

func TestAbsentDirectory(t *testing.T) {
	tests := []struct {
		recurse, force, full bool
		fails                bool
	}{
		{false, false, false, false}, {false, false, true, true}, {true, false, true, true},
		{false, true, true, true}, {true, true, true, false}, {true, true, false, false},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.Mkdir(dir+"/d", 0o755))
			if test.full {
				must(t, os.MkdirAll(dir+"/d/a/b", 0o755), os.WriteFile(dir+"/d/a/f", nil, 0o644))
			}
			r := open(t, Spec{Path: dir + "/d/", State: Absent, Recurse: test.recurse, Force: test.force})
			_, checkErr := r.Check(t.Context())
			err := r.Apply(t.Context(), nil)
			if (err != nil) != test.fails || (checkErr != nil) != test.fails {
				t.Errorf("check: %v, apply: %v", checkErr, err)
			}
			if want := map[bool]string{true: "d"}[test.fails]; names(t, dir) != want {
				t.Errorf("left: %s", names(t, dir))
			}
		})
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

func TestChanges(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/f"
	tests := []struct {
		name, have, want string
		mode             fs.FileMode
		change           string
		diff             string // what it contains
	}{
		{"text", "a\nb\n", "a\nc\nd\n", 0o644, "content: 4 B → 6 B", "@@ -1,2 +1,3 @@\n a\n-b\n+c\n+d\n"},
		{"same length", "abcd", "abxd", 0o644, "content: 4 B → 4 B, from byte 3 on", "+abxd"},
		{"binary", "a\x00", "a\x00b", 0o644, "content: binary, 2 B → binary, 3 B", ""},
		{"private", "old secret", "secret", 0o600, "content: 10 B → 6 B", ""},
		{"long", strings.Repeat("a\n", 1<<20), "a\n", 0o644, "content: 2048 KiB → 2 B", ""},
		{"many lines", "", strings.Repeat("line\n", 10000), 0o644, "content: 0 B → 48 KiB", "more lines)\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			must(t, os.WriteFile(path, []byte(test.have), 0o600), os.Chmod(path, test.mode))
			changes := check(t, open(t, Spec{Path: path, Content: &test.want}))
			if len(changes) != 1 || changes[0].String() != test.change {
				t.Fatalf("changes: %v", changes)
			}
			diff := changes[0].Diff
			if !strings.Contains(diff, test.diff) || (diff == "") != (test.diff == "") || len(diff) > longestDiff+100 {
				t.Errorf("diff: %s", diff)
			}
		})
	}
	must(t, os.Remove(path))
	changes := check(t, open(t, Spec{Path: path, Content: ptr("new\n")}))
	if len(changes) != 1 || changes[0].String() != "state: absent → exists" || !strings.Contains(changes[0].Diff, "+new") {
		t.Errorf("changes: %+v", changes)
	}
	changes = check(t, open(t, Spec{Path: path, Content: ptr("new\n"), Mode: "0600"}))
	if len(changes) != 1 || changes[0].Diff != "" {
		t.Errorf("changes: %+v", changes)
	}
}

func TestLongContent(t *testing.T) {
	path := t.TempDir() + "/f"
	long := strings.Repeat("0123456789", 50_000)
	for _, content := range []string{long, long + "x", "y" + long, long[:chunk], long[:2*chunk], long[:chunk] + "z"} {
		converge(t, Spec{Path: path, Content: &content})
		if contentOf(t, path) != content {
			t.Errorf("%d bytes were not written as they are", len(content))
		}
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
