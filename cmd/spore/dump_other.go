//go:build !linux

package main

import "golang.org/x/sys/unix"

// noDump keeps what this process knows from ending in a core dump. The commands that it starts
// inherit that, and may raise the limit again.
func noDump() {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_CORE, &l) == nil {
		l.Cur = 0
		_ = unix.Setrlimit(unix.RLIMIT_CORE, &l) // lowering it is always allowed
	}
}
