package resident

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// What may run a host.
const (
	initSystemd  = "systemd"
	initOpenRC   = "openrc"
	initSysvinit = "sysvinit"
)

// An initSystem starts the supervisors of a host that systemd does not run.
type initSystem interface {
	// enable has the supervisor of a service started at each boot, and again should it be killed.
	enable(ctx context.Context, service string) error
	// start starts it now. It does not run.
	start(ctx context.Context, service string) error
	// disable undoes enable, and returns once what it started has ended.
	disable(ctx context.Context, service string) error
}

// Services are what keeps the host's agent and store running: systemd, else daemons of our own that
// init starts.
func (l Layout) Services() Services {
	switch l.init() {
	case initSystemd:
		return systemd{layout: l, ctl: program("systemctl"), words: program("journalctl")}
	case initOpenRC:
		return supervisors{l, openrc{layout: l, service: program("rc-service"), update: program("rc-update")}}
	case initSysvinit:
		return supervisors{l, sysvinit{layout: l, telinit: program("telinit")}}
	}
	return supervisors{l, daemons{l}}
}

// init tells what runs the host, by what that alone leaves in /run while it does. OpenRC may have
// been started by sysvinit. It is empty if nothing that is known does.
func (l Layout) init() string {
	is := func(path string, t fs.FileMode, with ...string) bool {
		info, err := os.Stat(path)
		for _, name := range with {
			if lookUp(name) == "" {
				return false
			}
		}
		return err == nil && info.Mode().Type() == t
	}
	switch {
	case l.Run == "":
	case is(filepath.Join(l.Run, "systemd/system"), fs.ModeDir, "systemctl"): // as sd_booted(3) asks
		return initSystemd
	case is(filepath.Join(l.Run, "openrc/softlevel"), 0, "rc-service", "rc-update", "supervise-daemon"):
		return initOpenRC
	case is(filepath.Join(l.Run, "initctl"), fs.ModeNamedPipe, "telinit") && is(filepath.Join(l.Etc, "inittab"), 0):
		return initSysvinit
	}
	return ""
}

// lookUp returns the path of a program, also where only root's shells look for it. It is empty if
// there is none.
func lookUp(name string) string {
	for _, name := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
