package file

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	noFollow = unix.O_NOFOLLOW
	nonBlock = unix.O_NONBLOCK // or a named pipe would keep us waiting
	noAtime  = unix.O_NOATIME

	noAttribute = unix.ENODATA
)

// exchange swaps two names of a directory at once. It reports false where that cannot be done.
func exchange(dir *os.File, a, b string) (bool, error) {
	fd := int(dir.Fd())
	switch err := unix.Renameat2(fd, a, fd, b, unix.RENAME_EXCHANGE); err {
	case nil:
		return true, nil
	case unix.ENOSYS, unix.EINVAL, unix.ENOTSUP:
		return false, nil
	default:
		return false, &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
	}
}
