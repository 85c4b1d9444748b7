package file

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestMountsAreSpared(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting takes root")
	}
	dir := t.TempDir()
	tree(t, dir, "d/sub/point/", "d/f")
	point := dir + "/d/sub/point"
	must(t, syscall.Mount("none", point, "tmpfs", 0, ""))
	defer func() { must(t, syscall.Unmount(point, syscall.MNT_DETACH)) }()
	tree(t, point, "precious")
	for _, spec := range []Spec{
		{Path: dir + "/d/", State: Absent, Recurse: true, Force: true},
		{Path: dir + "/d/", Recurse: true, Purge: true},
		{Path: dir + "/d/sub", Force: true},
		{Path: dir + "/d/sub/point", Force: true},
	} {
		err := open(t, spec).Apply(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), "mount point") {
			t.Errorf("%+v: %v", spec, err)
		}
		if got := contentOf(t, point+"/precious"); got != "precious" {
			t.Errorf("it holds %q", got)
		}
	}
}

func TestReadOnlyFileSystem(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting takes root")
	}
	point := t.TempDir()
	must(t, syscall.Mount("none", point, "tmpfs", syscall.MS_RDONLY, ""))
	defer func() { must(t, syscall.Unmount(point, syscall.MNT_DETACH)) }()
	if changes, err := open(t, Spec{Path: point + "/f"}).Check(t.Context()); !errors.Is(err, syscall.EROFS) {
		t.Errorf("got %v, %v", changes, err)
	}
}
