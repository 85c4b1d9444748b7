package resident

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// privileged refuses hosts on which nothing can reside.
func privileged() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("a detached fleet lives on Linux only; this host runs %s", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return errors.New("a detached fleet takes root on its hosts, and this user is not: log in as root, or use --become")
	}
	return nil
}

// exclusive keeps others from changing what resides on the host until release is called. The lock
// is the private directory, which it makes if need be.
func (l Layout) exclusive(ctx context.Context) (release func(), err error) {
	const patience = 10 * time.Second
	var lock *os.File
	free := eventually(ctx, patience, func() bool {
		if err = errors.Join(makeDir(l.Root), makeDir(l.Dir())); err != nil {
			return true
		}
		lock, err = tryLock(l.Dir(), os.O_RDONLY|unix.O_DIRECTORY, unix.LOCK_EX)
		return !errors.Is(err, errHeld) && !errors.Is(err, os.ErrNotExist)
	})
	if !free {
		return nil, errors.New("another spore is changing this host: wait for it, and try again")
	}
	if err != nil {
		return nil, err
	}
	return func() { lock.Close() }, nil
}
