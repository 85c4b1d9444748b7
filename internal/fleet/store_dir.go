package fleet

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	storeDirs = "spore-store-" // how the directories of stores are called
	storeLock = "lock"         // in each, held by who keeps the store
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
	return dir, func() error { return errors.Join(os.RemoveAll(dir), lock.Close()) }, nil
}

func sweepStoreDirs() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), storeDirs+"*"))
	for _, dir := range dirs {
		// One without a lock is being made this moment, or is another user's.
		lock, err := os.OpenFile(filepath.Join(dir, storeLock), os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(dir)
		}
		_ = lock.Close()
	}
}
