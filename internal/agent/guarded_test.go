package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGuarded(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving files away takes root")
	}
	for name, c := range map[string]struct {
		spoil func(parent, dir string) error
		why   string // in the error; "" for none
	}{
		"as it should be":        {func(string, string) error { return nil }, ""},
		"shared but sticky":      {func(p, _ string) error { return os.Chmod(p, 0o777|os.ModeSticky) }, ""},
		"anyone may change":      {func(p, _ string) error { return os.Chmod(p, 0o757) }, "may be changed by others"},
		"a group may change":     {func(p, _ string) error { return os.Chmod(p, 0o770) }, "may be changed by others"},
		"of another user":        {func(p, _ string) error { return os.Chown(p, 65534, -1) }, "belongs to uid 65534"},
		"itself of another user": {func(_, d string) error { return os.Chown(d, 65534, -1) }, "belongs to uid 65534"},
		"itself shared":          {func(_, d string) error { return os.Chmod(d, 0o777|os.ModeSticky) }, "may be changed by others"},
		"a link": {func(p, _ string) error {
			if err := os.Rename(p, p+".real"); err != nil {
				return err
			}
			return os.Symlink(p+".real", p)
		}, "is a symbolic link"},
		"not there": {func(_, d string) error { return os.Remove(d) }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			parent := filepath.Join(t.TempDir(), "parent")
			dir := filepath.Join(parent, "dir")
			err := os.MkdirAll(dir, 0o700)
			if err == nil {
				err = c.spoil(parent, dir)
			}
			if err != nil {
				t.Fatal(err)
			}
			switch err := guarded(dir); {
			case c.why == "" && err != nil:
				t.Error(err)
			case c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)):
				t.Errorf("got %v, want %q", err, c.why)
			}
		})
	}
	if guarded("some/where") == nil {
		t.Error("a relative path is taken")
	}
}

func TestPrivate(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := private(dir); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if private(dir) == nil {
		t.Error("a directory that others may read is taken")
	}
}
