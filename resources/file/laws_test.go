package file_test

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"spore/engine/enginetest"
	"spore/internal/fswatch"
	"spore/resources/file"
)

func ptr[T any](v T) *T { return &v }

// picture shows all there is in dir.
func picture(dir string) any {
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := os.Lstat(path)
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		text := fmt.Sprint(fi.Mode(), st.Uid, st.Gid)
		switch fi.Mode().Type() {
		case 0:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %q", content)
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " " + target
		}
		all[path] = text
		return nil
	})
	return fmt.Sprint(all, err)
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func newHub(t *testing.T) *fswatch.Hub {
	hub := fswatch.New(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { must(t, hub.Close()) })
	return hub
}

func TestLaws(t *testing.T) {
	write := func(path, content string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, path), []byte(content), 0o644))
		}
	}
	remove := func(path string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, path))) }
	}
	tests := []struct {
		name    string
		spec    func(dir string) file.Spec
		diverge func(t *testing.T, dir string)
	}{
		{"content", func(dir string) file.Spec {
			return file.Spec{Path: dir + "/f", Content: ptr("text\n"), Mode: "0600"}
		}, write("f", "other")},
		{"no content", func(dir string) file.Spec { return file.Spec{Path: dir + "/f"} }, remove("f")},
		{"mode", func(dir string) file.Spec { return file.Spec{Path: dir + "/f", Mode: "0640"} },
			func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/f", 0o666)) }},
		{"replaced by a link", func(dir string) file.Spec {
			return file.Spec{Path: dir + "/f", Content: ptr("text"), Force: true, Mode: "0644"}
		}, func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/f"), os.Symlink("/dev/null", dir+"/f"))
		}},
		{"replaced by a directory", func(dir string) file.Spec {
			return file.Spec{Path: dir + "/f", Content: ptr("text"), Force: true, Mode: "0644"}
		}, func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/f"), os.Mkdir(dir+"/f", 0o755))
		}},
		{"directory", func(dir string) file.Spec { return file.Spec{Path: dir + "/d/", Mode: "0700"} }, remove("d")},
		{"absent", func(dir string) file.Spec { return file.Spec{Path: dir + "/f", State: file.Absent} }, write("f", "")},
		{"absent tree", func(dir string) file.Spec {
			return file.Spec{Path: dir + "/d/", State: file.Absent, Recurse: true, Force: true}
		}, func(t *testing.T, dir string) { must(t, os.Mkdir(dir+"/d", 0o755)) }},
		{"undefined", func(dir string) file.Spec {
			return file.Spec{Path: dir + "/source/f", State: file.Undefined, Content: ptr("text")}
		}, write("source/f", "other")},
		{"source file", func(dir string) file.Spec {
			return file.Spec{Path: dir + "/f", SourcePath: dir + "/source/f"}
		}, write("f", "other")},
		{"copied tree", func(dir string) file.Spec {
			return file.Spec{Path: dir + "/d/", SourcePath: dir + "/source", Recurse: true}
		}, write("d/sub/g", "other")},
		{"tree", func(dir string) file.Spec {
			return file.Spec{Path: dir + "/d/", SourcePath: dir + "/source/", Recurse: true, Purge: true}
		}, write("d/sub/extra", "")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			enginetest.TestKind(t, func(t *testing.T) enginetest.Fixture {
				dir := t.TempDir()
				must(t,
					os.MkdirAll(dir+"/source/sub", 0o755),
					os.WriteFile(dir+"/source/f", []byte("f"), 0o755),
					os.WriteFile(dir+"/source/sub/g", []byte("g"), 0o600),
					os.Symlink("sub/g", dir+"/source/link"))
				return enginetest.Fixture{
					Kind: file.Kind(newHub(t)), Name: "name", Spec: test.spec(dir),
					Diverge: func() { test.diverge(t, dir) },
					State:   func() any { return picture(dir) },
				}
			})
		})
	}
}
