//go:build !linux

package file

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	noFollow = unix.O_NOFOLLOW
	nonBlock = unix.O_NONBLOCK // or a named pipe would keep us waiting
	noAtime  = 0

	noAttribute = unix.ENOATTR
)

// exchange reports that it cannot be done.
func exchange(*os.File, string, string) (bool, error) { return false, nil }
