package main

import "golang.org/x/sys/unix"

// noDump keeps what this process knows from ending in a core dump, and from others of the same user
// who would look at its memory. The commands that it starts are as they always are.
func noDump() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) } // fails for no other value than 0 and 1
