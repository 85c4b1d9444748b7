package resident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var errHeld = errors.New("lock is held")

// tryLock takes a lock, which is a file or a directory, until what it returns is closed or its
// process ends. The file is made if flags say so.
func tryLock(path string, flags, how int) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, errHeld
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		mine, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			return f, nil
		}
		f.Close() // it was removed in between
	}
}

// held reports whether a process holds the lock at path.
func held(path string) (bool, error) {
	f, err := tryLock(path, os.O_RDONLY, unix.LOCK_SH)
	switch {
	case errors.Is(err, errHeld):
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	f.Close()
	return false, nil
}

// holder returns the process that holds the lock at path and wrote its number there; 0 if none does.
func holder(path string) (int, error) {
	if is, err := held(path); !is {
		return 0, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid, nil // 0 also if it has taken the lock this instant
}

// eventually asks done until it is, or patience ends, and reports which. What is waited for tells
// nobody.
func eventually(ctx context.Context, patience time.Duration, done func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return true
}
