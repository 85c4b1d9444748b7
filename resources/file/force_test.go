package file

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

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
