//go:build !linux

package resident

import (
	"errors"
	"net"
	"syscall"
)

// dieWithParent does nothing: nothing resides on other systems.
func dieWithParent(*syscall.SysProcAttr) {}

func peerPID(*net.UnixConn) (int, error) { return 0, errors.ErrUnsupported }
