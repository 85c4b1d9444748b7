package file

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// An ACL such as setfacl -m u:12345:rw writes.
func TestPreservesACL(t *testing.T) {
	path := t.TempDir() + "/f"
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	acl := []byte{2, 0, 0, 0}
	for _, e := range []struct {
		tag, perm byte
		id        uint32
	}{{1, 6, ^uint32(0)}, {2, 6, 12345}, {4, 0, ^uint32(0)}, {16, 6, ^uint32(0)}, {32, 0, ^uint32(0)}} {
		acl = append(acl, e.tag, 0, e.perm, 0, byte(e.id), byte(e.id>>8), byte(e.id>>16), byte(e.id>>24))
	}
	const name = "system.posix_acl_access"
	must(t, unix.Setxattr(path, name, acl, 0))
	converge(t, Spec{Path: path, Content: ptr("new")})
	got := make([]byte, 1000)
	n, err := unix.Getxattr(path, name, got)
	must(t, err)
	if string(got[:n]) != string(acl) {
		t.Errorf("the ACL became %v, want %v", got[:n], acl)
	}
}

func TestCheckLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/s/sub", 0o755), os.WriteFile(dir+"/s/f", []byte("text"), 0o644))
	spec := Spec{Path: dir + "/d/", SourcePath: dir + "/s/", Recurse: true, Purge: true}
	converge(t, spec)
	// As old as this, a read would be recorded even under relatime.
	old := unix.NsecToTimespec(1e18)
	paths := []string{"s", "s/sub", "s/f", "d", "d/sub", "d/f"}
	for _, path := range paths {
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, dir+"/"+path, []unix.Timespec{old, old}, 0))
	}
	check(t, open(t, spec))
	for _, path := range paths {
		var st unix.Stat_t
		must(t, unix.Lstat(dir+"/"+path, &st))
		if st.Atim != old || st.Mtim != old {
			t.Errorf("%s was touched", path)
		}
	}
}
