package cluster

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	lockName  = ".lock"  // no record is called so
	maxRecord = 16 << 20 // bytes of a file of one
)

// lock makes dir, if it is not there, and waits until no other process has locked it.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// checkDir refuses a directory that others may look into.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	return checkPrivate(dir, info, 0o700)
}

// checkPrivate refuses what others than its owner may look into.
func checkPrivate(path string, info fs.FileInfo, mode fs.FileMode) error {
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("%s is open to others (%v), and keys are in it: chmod %o it", path, perm, mode)
	}
	return nil
}

// readPrivate reads a file that none but its owner may read.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(path, info, 0o600); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err == nil && len(content) > maxRecord {
		err = fmt.Errorf("%s is larger than %d MiB", path, maxRecord>>20)
	}
	return content, err
}

// WritePrivate makes path a file with content that none but its owner may read. There is the old file
// or the new one at any moment, a crash of the machine included.
func WritePrivate(path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
