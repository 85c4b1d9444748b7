package file

import (
	"os"
	"strings"
	"testing"

	"spore/engine"
)

// What a dry run is told must be what a real run comes to.
func TestForecast(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/locked", 0o755), os.WriteFile(dir+"/locked/f", []byte("old"), 0o644), os.Chmod(dir+"/locked", 0o555))
	t.Cleanup(func() { must(t, os.Chmod(dir+"/locked", 0o755)) })
	for name, c := range map[string]struct {
		spec     Spec
		to, fail string // without root, which may write anywhere
	}{
		"new":       {spec: Spec{Path: dir + "/f", Content: ptr("x")}, to: "exists"},
		"no parent": {spec: Spec{Path: dir + "/none/f", Content: ptr("x")}, to: "exists (needs directory " + dir + "/none)"},
		"no owner":  {spec: Spec{Path: dir + "/f", Owner: "no-such-user", Group: "no-such-group"}, to: "exists (needs owner no-such-user, group no-such-group)"},
		"locked":    {spec: Spec{Path: dir + "/locked/new"}, to: "exists", fail: "write in " + dir + "/locked: permission denied"},
		"rewrite":   {spec: Spec{Path: dir + "/locked/f", Content: ptr("new")}, to: "3 B, from byte 1 on", fail: "write in " + dir + "/locked: permission denied"},
		"remove":    {spec: Spec{Path: dir + "/locked/f", State: Absent}, to: "absent", fail: "write in " + dir + "/locked: permission denied"},
		"chmod":     {spec: Spec{Path: dir + "/locked/f", Mode: "0600"}, to: "0600"},
	} {
		t.Run(name, func(t *testing.T) {
			changes, err := open(t, c.spec).Check(t.Context())
			if c.fail != "" && os.Getuid() != 0 {
				if err == nil || err.Error() != c.fail {
					t.Errorf("got %v, want %s", err, c.fail)
				}
				return
			}
			if err != nil || len(changes) != 1 || changes[0].To != c.to {
				t.Errorf("got %v, %v, want one to %q", changes, err, c.to)
			}
		})
	}
}

// A resource that comes before may yet make the directory, or let it be written to.
func TestForecastLeavesRoomForOthers(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/locked", 0o555))
	kind := newKind(t)
	openAs(t, kind, Spec{Path: dir + "/tree/", Recurse: true})
	openAs(t, kind, Spec{Path: dir + "/locked/", Mode: "0755"})
	for _, path := range []string{dir + "/tree/f", dir + "/tree/sub/f", dir + "/locked/f"} {
		if changes := check(t, openAs(t, kind, Spec{Path: path})); len(changes) != 1 || changes[0].To != Exists {
			t.Errorf("%s: %v", path, changes)
		}
	}
}

func TestUnreadableSource(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/from", nil, 0o200))
	changes, err := open(t, Spec{Path: dir + "/to", SourcePath: dir + "/from"}).Check(t.Context())
	switch denied := err != nil && strings.Contains(err.Error(), "permission denied"); {
	case os.Getuid() == 0 && err != nil, os.Getuid() != 0 && !denied:
		t.Errorf("got %v, %v", changes, err)
	}
}

// A file that others take away while it is read is missing, which is no failure.
func TestVanishing(t *testing.T) {
	path := t.TempDir() + "/f"
	must(t, os.WriteFile(path, []byte("old"), 0o644))
	w := want{path: path, body: vanishing{"new", path}}
	changes, err := w.check(t.Context())
	if err != nil || len(changes) != 1 || changes[0].String() != (engine.Change{Field: "state", From: Absent, To: Exists}).String() {
		t.Errorf("got %v, %v", changes, err)
	}
}

// A vanishing body takes path away when it is asked for its size, for the file is read after that.
type vanishing struct {
	text
	path string
}

func (v vanishing) size() int64 {
	_ = os.Remove(v.path)
	return v.text.size()
}
