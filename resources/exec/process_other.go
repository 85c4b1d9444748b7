//go:build !linux

package exec

import "syscall"

// dieWithParent does nothing: this system cannot end a process with its parent.
func dieWithParent(*syscall.SysProcAttr) {}
