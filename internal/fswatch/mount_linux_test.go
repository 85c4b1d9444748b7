package fswatch_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestMount(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting takes root")
	}
	dir := t.TempDir()
	point := filepath.Join(dir, "m")
	unmount := func(string) error { return syscall.Unmount(point, syscall.MNT_DETACH) }
	if err := all(mkdir("m/a"), write("m/a/f", "below"), mkdir("m/a/t"))(dir); err != nil {
		t.Fatal(err)
	}
	h := newHub(t)
	views := []*viewer{view(t, h, filepath.Join(point, "a/f"), false), view(t, h, filepath.Join(point, "a"), true)}
	t.Cleanup(func() { syscall.Unmount(point, syscall.MNT_DETACH) })
	prepare := func(string) error { return os.MkdirAll(filepath.Join(point, "a"), 0o755) }
	mount := func(string) error { return syscall.Mount("none", point, "tmpfs", 0, "") }
	for i, s := range []step{
		all(mount, prepare, write("m/a/f", "1")), write("m/a/f", "2"),
		unmount, write("m/a/f", "3"),
		all(mount, prepare, write("m/a/f", "4")), write("m/a/f", "5"),
		all(unmount, mount, prepare, write("m/a/f", "6")), write("m/a/f", "7"),
	} {
		if err := s(dir); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		for _, v := range views {
			v.wait()
		}
	}
}

// Two paths to one directory by a bind mount are one directory to inotify.
func TestBindMount(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting takes root")
	}
	dir := t.TempDir()
	if err := all(mkdir("real/t"), mkdir("bound"), write("real/f", "0"))(dir); err != nil {
		t.Fatal(err)
	}
	bound := filepath.Join(dir, "bound")
	if err := syscall.Mount(filepath.Join(dir, "real"), bound, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(bound, syscall.MNT_DETACH) })
	h := newHub(t)
	var views []*viewer
	for _, name := range []string{"real", "bound"} {
		views = append(views, view(t, h, filepath.Join(dir, name, "f"), false), view(t, h, filepath.Join(dir, name), true))
	}
	for i, s := range []step{
		write("real/f", "1"), replace("bound/f", "2"), write("real/t/x", "3"), write("bound/t/x", "4"),
		rename("real", "moved"), write("bound/f", "5"), write("moved/t/x", "6"),
	} {
		if err := s(dir); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		for _, v := range views {
			v.wait()
		}
	}
}
