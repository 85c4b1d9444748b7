package fleet

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	storeDirs = "spore-store-" // how the directories of stores are called
	storeLock = "lock"         // in each, held by who keeps the store

	lockWithin = time.Hour // far longer than it takes to lock a new one
)

// makeStoreDir makes a private directory for a store. Before that it takes away those of stores
// whose process was killed: they hold keys.
func makeStoreDir() (dir string, release func() error, err error) {
	sweepStoreDirs()
	if dir, err = os.MkdirTemp("", storeDirs); err != nil { // 0700
		return "", nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, storeLock), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, func() error { return errors.Join(removeStoreDir(dir), lock.Close()) }, nil
}

// removeStoreDir takes dir away, the lock last: by it others find what stays if this is cut short.
func removeStoreDir(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != storeLock {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

func sweepStoreDirs() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), storeDirs+"*"))
	for _, dir := range dirs {
		lock, err := os.OpenFile(filepath.Join(dir, storeLock), os.O_RDWR|unix.O_NOFOLLOW, 0)
		if errors.Is(err, fs.ErrNotExist) {
			// It is being made this moment, unless it is old.
			if info, err := os.Lstat(dir); err == nil && time.Since(info.ModTime()) > lockWithin {
				_ = os.RemoveAll(dir)
			}
			continue
		}
		if err != nil {
			continue // another user's
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = removeStoreDir(dir)
		}
		_ = lock.Close()
	}
}
