package exec

import "syscall"

// dieWithParent has the kernel end the process when the agent dies, be it by SIGKILL.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
