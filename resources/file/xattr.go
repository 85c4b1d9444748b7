package file

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// dropped are the extended attributes that vouch for the content they were given to.
var dropped = []string{"security.capability", "security.ima", "security.evm"}

// copyXattrs gives to all extended attributes of from: ACLs and labels are among them.
func copyXattrs(to, from *os.File) error {
	names, err := xattrs(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.Contains(dropped, name) {
			continue
		}
		value, err := xattr(from, name)
		if errors.Is(err, noAttribute) {
			continue // gone meanwhile
		} else if err != nil {
			return fmt.Errorf("read attribute %s: %w", name, err)
		}
		err = unix.Fsetxattr(int(to.Fd()), name, value, 0)
		if err != nil && !(strings.HasPrefix(name, "security.") && errors.Is(err, unix.EPERM)) {
			// Labels are for the security module to set where we may not.
			return fmt.Errorf("keep attribute %s: %w", name, err)
		}
	}
	return nil
}

func xattrs(f *os.File) ([]string, error) {
	list, err := grow(func(buf []byte) (int, error) { return unix.Flistxattr(int(f.Fd()), buf) })
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("list attributes: %w", err)
	}
	return strings.FieldsFunc(string(list), func(r rune) bool { return r == 0 }), nil
}

func xattr(f *os.File, name string) ([]byte, error) {
	return grow(func(buf []byte) (int, error) { return unix.Fgetxattr(int(f.Fd()), name, buf) })
}

// grow calls get with a buffer that is large enough.
func grow(get func([]byte) (int, error)) ([]byte, error) {
	for buf := make([]byte, 1<<10); ; buf = make([]byte, 2*len(buf)) {
		n, err := get(buf)
		if errors.Is(err, unix.ERANGE) && len(buf) < 1<<20 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}
