package edits

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spore/engine/manifest"
	"spore/internal/fswatch"
	"spore/internal/view"
	"spore/resources"
)

const patience = time.Minute

// A follow is a Follower at work on a graph file in a directory of its own.
type follow struct {
	*testing.T
	dir     string
	file    string
	changed chan *manifest.Manifest
	refused chan string
	ended   chan error
	stop    context.CancelFunc
}

func graph(content string) string {
	return "resources:\n  file:\n  - name: /out\n    content: " + content + "\n"
}

const tree = "resources:\n  file:\n  - name: /out/\n    source: tree/\n    recurse: true\n"

func start(t *testing.T, text string) *follow {
	t.Helper()
	f := &follow{
		T: t, dir: t.TempDir(), changed: make(chan *manifest.Manifest, 16), refused: make(chan string, 16),
		ended: make(chan error, 1),
	}
	f.file = filepath.Join(f.dir, "g.yaml")
	if strings.Contains(text, "tree/") {
		f.write("tree/file", "old")
	}
	f.write("g.yaml", text)
	log := view.NewLogger(view.SinkFunc(func(r view.Record) { f.refused <- r.Message + r.Attrs["err"] }), slog.LevelInfo)
	hub := fswatch.New(log)
	t.Cleanup(func() { hub.Close() })
	follower := &Follower{Hub: hub, Options: manifest.Options{Kinds: resources.Kinds(hub)}, Log: log}
	m, err := manifest.Load(f.file, follower.Options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.stop = cancel
	go func() { f.ended <- follower.Follow(ctx, m, func(m *manifest.Manifest) { f.changed <- m }) }()
	t.Cleanup(func() {
		cancel()
		if err := wait(f, f.ended, "the end"); err != nil {
			t.Error(err)
		}
	})
	return f
}

// wait returns what comes from c.
func wait[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
	return v
}

// write makes a file hold text, by truncating it first.
func (f *follow) write(name, text string) {
	f.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
}

// save makes the graph file hold text, as editors do: by a rename.
func (f *follow) save(text string) {
	f.Helper()
	f.write("g.yaml~", text)
	if err := os.Rename(f.file+"~", f.file); err != nil {
		f.Fatal(err)
	}
}

// gets waits for a version that holds words.
func (f *follow) gets(words string) *manifest.Manifest {
	f.Helper()
	for {
		m := wait(f, f.changed, "a version with "+words)
		if strings.Contains(string(m.Text), words) {
			return m
		}
	}
}

// still checks that nothing has come that was not asked for.
func (f *follow) still() {
	f.Helper()
	select {
	case m := <-f.changed:
		f.Errorf("an uncalled-for version:\n%s", m.Text)
	case r := <-f.refused:
		f.Errorf("an uncalled-for refusal: %s", r)
	default:
	}
}

func TestSaveByRename(t *testing.T) {
	f := start(t, graph("one"))
	f.save(graph("two"))
	f.gets("two")
	f.save(graph("three"))
	f.gets("three")
	f.still()
}

func TestSaveInPlace(t *testing.T) {
	f := start(t, graph("one"))
	f.write("g.yaml", graph("two"))
	f.gets("two")
	f.save(graph("three")) // another inode from now on
	f.gets("three")
	f.write("g.yaml", graph("four"))
	f.gets("four")
}

// What is saved without a difference is no new version. The save that follows shows it.
func TestSaveOfTheSame(t *testing.T) {
	f := start(t, graph("one"))
	f.save(graph("one"))
	f.save(graph("two"))
	f.gets("two")
	f.still()
}

func TestEditBeforeTheWatch(t *testing.T) {
	f := &follow{T: t, dir: t.TempDir()}
	f.file = filepath.Join(f.dir, "g.yaml")
	f.write("g.yaml", graph("one"))
	hub := fswatch.New(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { hub.Close() })
	follower := &Follower{Hub: hub, Options: manifest.Options{Kinds: resources.Kinds(hub)}, Log: slog.New(slog.DiscardHandler)}
	m, err := manifest.Load(f.file, follower.Options)
	if err != nil {
		t.Fatal(err)
	}
	f.save(graph("two")) // after it was read, before it is watched
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got := ""
	if err := follower.Follow(ctx, m, func(m *manifest.Manifest) { got = string(m.Text); cancel() }); err != nil || got != graph("two") {
		t.Errorf("got %q (%v), want the edit", got, err)
	}
}

func TestMistakes(t *testing.T) {
	f := start(t, graph("one"))
	f.save("resources:\n  fil: []\n")
	if r := wait(f, f.refused, "a refusal"); !strings.Contains(r, "the last good graph stays") || !strings.Contains(r, `g.yaml:2:3: unknown kind "fil"`) {
		t.Errorf("refused with %s", r)
	}
	f.save("resources:\n  fil: []\n") // the same mistake is not told again
	f.save("resource: {}\n")
	if r := wait(f, f.refused, "another refusal"); !strings.Contains(r, `unknown key "resource"`) {
		t.Errorf("refused with %s", r)
	}
	f.save(graph("one")) // as it was: the good graph has never gone
	f.save(graph("two"))
	f.gets("two")
	f.still()
}

func TestRemovedAndBack(t *testing.T) {
	f := start(t, graph("one"))
	if err := os.Remove(f.file); err != nil {
		t.Fatal(err)
	}
	if r := wait(f, f.refused, "a refusal"); !strings.Contains(r, "no such file") {
		t.Errorf("refused with %s", r)
	}
	f.save(graph("two"))
	f.gets("two")
}

// files are those that travel with a manifest.
func files(m *manifest.Manifest) string {
	var names []string
	for _, f := range m.Files {
		names = append(names, f.Name)
	}
	return strings.Join(names, " ")
}

func TestSources(t *testing.T) {
	f := start(t, tree)
	f.write("tree/file", "new")
	m := f.gets("tree/")
	before := m.Digest()
	f.write("tree/deep/down", "more")
	for files(m) != "tree tree/deep tree/deep/down tree/file" {
		m = f.gets("tree/")
	}
	f.write("tree/deep/down", "other") // in a directory that was not there at first
	for old := m.Digest(); m.Digest() == old; {
		m = f.gets("tree/")
	}
	if err := os.RemoveAll(filepath.Join(f.dir, "tree", "deep")); err != nil {
		t.Fatal(err)
	}
	for files(m) != "tree tree/file" || m.Digest() != before {
		m = f.gets("tree/")
	}
}

// A source that an edit brings in is watched from then on, one that it drops is not.
func TestSourcesComeAndGo(t *testing.T) {
	f := start(t, graph("one"))
	f.write("tree/file", "old")
	f.save(tree)
	f.gets("tree/")
	f.write("tree/file", "new")
	f.gets("tree/")
	f.save(graph("two"))
	f.gets("two")
	f.write("tree/file", "ignored")
	f.save(graph("three"))
	f.gets("three")
	f.still()
}
