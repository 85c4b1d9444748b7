package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnreadable names the file and the reason, for every way in which a file cannot be read.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	must(t, os.WriteFile(large, []byte("comment: "+strings.Repeat("x", MaxSize)), 0o644))
	for path, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "read the graph file: no such file or directory",
		dir:                             "read the graph file: is a directory",
		large:                           "the graph file is larger than 1 MiB",
	} {
		m, err := Load(path, options())
		ds, ok := errors.AsType[Diagnostics](err)
		if m != nil || !ok || len(ds) != 1 || ds[0].Message != want || ds[0].File != path || ds[0].Hint == "" {
			t.Errorf("%s: got %+v", path, err)
		}
	}
}

// TestLoadAll reports the mistakes of all files, and returns the files without.
func TestLoadAll(t *testing.T) {
	files := []string{"testdata/bad/keys.yaml", "testdata/good/old.yaml", "testdata/bad/none.yaml", "testdata/bad/two.yaml"}
	manifests, err := LoadAll(files, options())
	var want Diagnostics
	for _, file := range files {
		_, err := Load(file, options())
		ds, _ := errors.AsType[Diagnostics](err)
		want = append(want, ds...)
	}
	if err == nil || err.Error() != want.Error() {
		t.Errorf("got %v\nwant %v", err, want)
	}
	for i, m := range manifests {
		if (m != nil) != (i == 1) {
			t.Errorf("manifest %d: %v", i, m)
		}
	}
	if manifests, err = LoadAll(files[1:2], options()); err != nil || len(manifests) != 1 {
		t.Errorf("got %v, %v", manifests, err)
	}
}

// TestAliasBomb refuses a small file that becomes a giant.
func TestAliasBomb(t *testing.T) {
	text := "graph: x\nresources:\n  vault:\n  - name: a\n    keys: &a0 {k: v}\n"
	for i := range 40 {
		text += fmt.Sprintf("  - &a%d [%s]\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), ", "))
	}
	_, err := Parse("g.yaml", []byte(text), options())
	if err == nil || !strings.Contains(err.Error(), "expand to more than 1 MiB") {
		t.Errorf("got %v", err)
	}
}

// TestManyMistakes keeps what is shown within bounds, and says so.
func TestManyMistakes(t *testing.T) {
	text := "resources:\n  noop:\n" + strings.Repeat("  - 1\n", 5000)
	_, err := Parse("g.yaml", []byte(text), options())
	ds, _ := errors.AsType[Diagnostics](err)
	if len(ds) != maxDiagnostics+1 || ds[maxDiagnostics].Message != "and 4000 more, not shown" || !ds.Failed() {
		t.Errorf("got %d: %+v", len(ds), ds[len(ds)-1])
	}
	text = "resources:\n  noop:\n"
	for i := range 1500 {
		text += fmt.Sprintf("  - {name: n%d, meta: {autoedge: true}}\n", i)
	}
	m := parse(t, text)
	if n := len(m.Warnings); n != maxDiagnostics+1 || m.Warnings.Failed() || !m.Warnings[n-1].Warning {
		t.Errorf("got %d warnings, the last %+v", n, m.Warnings[n-1])
	}
}

// TestLongLine shows the part of a long line that is meant.
func TestLongLine(t *testing.T) {
	long := "comment: " + strings.Repeat(" ", 10_000) + "@" + strings.Repeat("x", 10_000)
	_, err := Parse("g.yaml", []byte(long), options())
	ds, _ := errors.AsType[Diagnostics](err)
	if len(ds) != 1 || len(ds[0].Source) > 200 || []rune(ds[0].Source)[ds[0].Caret-1] != '@' {
		t.Errorf("got %+v", ds)
	}
}

// TestHiddenInTheUnread hides secrets on lines of a file that could not be understood.
func TestHiddenInTheUnread(t *testing.T) {
	for text, shown := range map[string]string{
		"password: a: hunter2":                           "password********",
		"x:\n- password: hunter2\n-: a: y":               "-: a: y",
		"x:\n- password: 'hunter2\n  hunter2' @: a: b":   "********",
		"password: |\n  hunter2\n  \thunter2: b: c\n\t@": "\t@",
		"{password: hunter2, user: @hunter2}":            "{password********",
		"password: *hunter2":                             "password********",
		"remote: ssh://me:hunter2@host: a: b":            "remote: ssh://me:********@host: a: b",
	} {
		_, err := Parse("g.yaml", []byte(text), options())
		ds, _ := errors.AsType[Diagnostics](err)
		if len(ds) != 1 || ds[0].Source != shown || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q:\n%v", text, err)
		}
	}
}
