package fleet

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A removal that is cut short leaves the lock, by which the next run finds what stays.
func TestLockOfAStoreGoesLast(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir, release, err := makeStoreDir()
	if err != nil {
		t.Fatal(err)
	}
	const keys = 20
	for i := range keys {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("key%d", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	watch, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(watch)
	if _, err := unix.InotifyAddWatch(watch, dir, unix.IN_DELETE); err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if gone := deleted(t, watch); len(gone) != keys+1 || gone[keys] != storeLock {
		t.Errorf("removed in the order %q", gone)
	}
}

// deleted returns the names that were removed, in order.
func deleted(t *testing.T, watch int) (names []string) {
	t.Helper()
	events := make([]byte, 64<<10)
	n, err := unix.Read(watch, events)
	if err != nil {
		t.Fatal(err)
	}
	for events = events[:n]; len(events) > 0; {
		e := (*unix.InotifyEvent)(unsafe.Pointer(&events[0]))
		end := unix.SizeofInotifyEvent + int(e.Len)
		if e.Mask&unix.IN_DELETE != 0 {
			names = append(names, string(bytes.TrimRight(events[unix.SizeofInotifyEvent:end], "\x00")))
		}
		events = events[end:]
	}
	return names
}
