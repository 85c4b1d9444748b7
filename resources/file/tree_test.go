package file

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"spore/engine"
)

// tree makes a tree of entries: a name that ends with a slash is a directory, one with an arrow a
// symlink, and any other a file that holds its own name, executable if it ends with .sh.
func tree(t testing.TB, dir string, entries ...string) {
	t.Helper()
	for _, e := range entries {
		name, target, isLink := strings.Cut(e, "->")
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case isLink:
			must(t, os.Symlink(target, path))
		case strings.HasSuffix(e, "/"):
			must(t, os.MkdirAll(path, 0o755))
		case strings.HasSuffix(e, ".sh"):
			must(t, os.WriteFile(path, []byte(e), 0o755))
		default:
			must(t, os.WriteFile(path, []byte(e), 0o644))
		}
	}
}

// show is what tree makes, in lexical order.
func show(t testing.TB, dir string) string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		must(t, err)
		switch e.Type() {
		case fs.ModeDir:
			rel += "/"
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			must(t, err)
			rel += "->" + target
		default:
			if content := contentOf(t, path); content != rel {
				rel += fmt.Sprintf("=%s", content)
			}
		}
		all = append(all, rel)
		return nil
	}))
	return strings.Join(all, " ")
}

func TestTree(t *testing.T) {
	source := []string{"a", "run.sh", "sub/", "sub/b", "sub/deep/c", "empty/", "link->a", "sub/up->../a"}
	const copied = "a empty/ link->a run.sh sub/ sub/b sub/deep/ sub/deep/c sub/up->../a"
	tests := []struct {
		name  string
		have  []string
		purge bool
		want  string
	}{
		{"new", nil, false, copied},
		{"kept", []string{"z", "sub/z", "other/z"}, false, "a empty/ link->a other/ other/z run.sh sub/ sub/b sub/deep/ sub/deep/c sub/up->../a sub/z z"},
		{"purged", []string{"z", "sub/z", "other/z", "l->sub", ".hidden", "sub/deep/x/y/z"}, true, copied},
		{"link differs", []string{"link->elsewhere"}, true, copied},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			tree(t, dir+"/s", source...)
			tree(t, dir+"/d", test.have...)
			converge(t, Spec{Path: dir + "/d/", SourcePath: dir + "/s/", Recurse: true, Purge: test.purge})
			if got := show(t, dir+"/d"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if got := modeOf(t, dir+"/d/run.sh"); got != "0755" {
				t.Errorf("run.sh has mode %s", got)
			}
		})
	}
}

func TestTreeModes(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir+"/s", "a", "sub/b")
	must(t, os.Chmod(dir+"/s/a", 0o600), os.Chmod(dir+"/s/sub", 0o700), os.Chmod(dir+"/s/sub/b", 0o666))
	spec := Spec{Path: dir + "/d/", SourcePath: dir + "/s/", Recurse: true, Mode: "0711"}
	converge(t, spec)
	must(t, os.Chmod(dir+"/d/a", 0o644))
	converge(t, spec)
	for path, want := range map[string]string{"d": "0711", "d/a": "0600", "d/sub": "0700", "d/sub/b": "0666"} {
		if got := modeOf(t, dir+"/"+path); got != want {
			t.Errorf("%s has mode %s, want %s", path, got, want)
		}
	}
}

func TestTreeTypes(t *testing.T) {
	for _, force := range []bool{false, true} {
		dir := t.TempDir()
		tree(t, dir+"/s", "x", "y/z", "l->x")
		tree(t, dir+"/d", "x/full/of", "y->/etc", "l")
		spec := Spec{Path: dir + "/d/", SourcePath: dir + "/s/", Recurse: true, Force: force}
		if force {
			converge(t, spec)
			if got, want := show(t, dir+"/d"), "l->x x y/ y/z"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			continue
		}
		if _, err := open(t, spec).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "force: true") {
			t.Errorf("got %v", err)
		}
	}
}

func TestTreeChanges(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir+"/s", "sub/a")
	tree(t, dir+"/d", "sub/a", "x/y", "x/z")
	must(t, os.WriteFile(dir+"/d/sub/a", []byte("other"), 0o600), os.Chmod(dir+"/d/sub/a", 0o600))
	spec := Spec{Path: dir + "/d/", SourcePath: dir + "/s/", Recurse: true, Purge: true}
	got := fmt.Sprint(check(t, open(t, spec)))
	want := "[content: sub/a 5 B → 5 B, from byte 1 on mode: sub/a 0600 → 0644 purge: x exists → absent]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for i := range 3 * most {
		tree(t, dir+"/s", fmt.Sprint("many/", i))
	}
	if got := check(t, open(t, spec)); len(got) != most+1 || got[most].To != fmt.Sprint(2*most+4, " more changes") {
		t.Errorf("got %d changes, the last is %v", len(got), got[len(got)-1])
	}
}

func TestBadSource(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, "file", "tree/a", "special/")
	must(t, syscall.Mkfifo(dir+"/special/fifo", 0o644))
	for want, spec := range map[string]Spec{
		"no such file":         {Path: dir + "/x", SourcePath: dir + "/none"},
		"declared as a file":   {Path: dir + "/x", SourcePath: dir + "/tree"},
		"as a directory":       {Path: dir + "/x/", SourcePath: dir + "/file", Recurse: true},
		"which cannot be copi": {Path: dir + "/x/", SourcePath: dir + "/special/", Recurse: true},
		"not a file":           {Path: dir + "/x", SourcePath: dir + "/special/fifo"},
	} {
		if _, err := open(t, spec).Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", spec, err, want)
		}
	}
	if _, err := newKind(t).Open("x", Spec{Path: "/x", SourcePath: "relative"}, engine.Env{}); err == nil {
		t.Error("a relative source was opened")
	}
}

// What other resources of the host declare is not purged, until they are gone.
func TestPurgeSparesClaims(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, "mine", "nobodys", "a/b/deep", "a/nobodys", "tree/x/y", "plain/x")
	kind := newKind(t)
	purger := openAs(t, kind, Spec{Path: dir + "/", Recurse: true, Purge: true})
	purger.claims.linger = 0
	mine := openAs(t, kind, Spec{Path: dir + "/mine"})
	openAs(t, kind, Spec{Path: dir + "/a/b/deep"})
	openAs(t, kind, Spec{Path: dir + "/tree/", SourcePath: "/elsewhere/", Recurse: true})
	openAs(t, kind, Spec{Path: dir + "/plain/"})
	must(t, purger.Apply(t.Context(), nil))
	if got, want := show(t, dir), "a/ a/b/ a/b/deep mine plain/ tree/ tree/x/ tree/x/y"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	told := make(chan struct{}, 8)
	defer purger.claims.notify(func() { told <- struct{}{} })()
	must(t, mine.Close(), mine.Close())
	select {
	case <-told:
	case <-time.After(time.Minute):
		t.Fatal("the purger is not told")
	}
	if got := fmt.Sprint(check(t, purger)); got != "[purge: mine exists → absent]" {
		t.Errorf("got %s", got)
	}
}

func BenchmarkCheck(b *testing.B) {
	dir := b.TempDir()
	kind := newKind(b)
	content := strings.Repeat("0123456789abcdef", 64)
	var resources []*resource
	for i := range 1000 {
		path := filepath.Join(dir, fmt.Sprint(i))
		must(b, os.WriteFile(path, []byte(content), 0o644))
		resources = append(resources, openAs(b, kind, Spec{Path: path, Content: &content, Mode: "0644", Owner: "root"}))
	}
	for b.Loop() {
		for _, r := range resources {
			if _, err := r.Check(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}
