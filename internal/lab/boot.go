package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const bootTimeout = 2 * time.Minute

// rebooted is how nspawn exits when the host asked for a reboot.
const rebooted = 133

// Start powers the host on and returns when it has booted and serves SSH. It does nothing to a
// running host.
func (h *Host) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	defer context.AfterFunc(h.lab.ctx, cancel)()
	unlock, err := h.exclusive(ctx)
	if err != nil {
		return fmt.Errorf("start host %s: %w", h.Name, err)
	}
	defer unlock()
	if h.lab.ctx.Err() != nil {
		return fmt.Errorf("start host %s: the lab is closed", h.Name)
	}
	if h.Running() {
		return nil
	}
	if !exists(h.Root()) {
		return fmt.Errorf("start host %s: it has been destroyed", h.Name)
	}
	if supervisor, _ := h.processes(); supervisor.alive() {
		if err := waitGone(ctx, supervisor.PID); err != nil {
			return err
		}
	}
	err = h.boot(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("start host %s: %w", h.Name, ctx.Err())
	}
	if err != nil {
		console, _ := os.ReadFile(h.Console())
		return fmt.Errorf("start host %s: %w; end of its console:\n%s", h.Name, err, tail(console, 3000))
	}
	return nil
}

func (h *Host) boot(ctx context.Context) error {
	console, err := os.OpenFile(h.Console(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	ready, path, err := h.listenReady()
	if err != nil {
		return err
	}
	defer os.Remove(path)
	defer ready.Close()
	defer context.AfterFunc(ctx, func() { ready.Close() })()
	cmd, err := h.nspawn(path)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = console, console
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait()
		ready.Close()
		close(exited)
		h.restart(cmd.ProcessState.ExitCode())
	}()
	err = h.awaitReady(ctx, ready, identify(cmd.Process.Pid))
	if err == nil {
		return nil
	}
	cmd.Process.Kill()
	<-exited
	return err
}

// restart starts the host again if its container ended because the host rebooted.
func (h *Host) restart(exitCode int) {
	if exitCode != rebooted {
		return
	}
	if err := h.Start(h.lab.ctx); err != nil && h.lab.ctx.Err() == nil {
		h.lab.log.Error("lab: reboot", "error", err)
	}
}

// nspawn is the command that runs the host. It first enters the host's own cgroups.
func (h *Host) nspawn(notify string) (*exec.Cmd, error) {
	program, err := find("systemd-nspawn")
	if err != nil {
		return nil, err
	}
	const enter = `while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"`
	args := []string{"-c", enter, "sh"}
	for _, parent := range h.lab.state.Cgroups {
		dir := filepath.Join(parent, h.namespace())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		args = append(args, dir)
	}
	args = append(args, "--", program, "--quiet", "--settings=no", "--register=no", "--keep-unit",
		"--directory="+h.Root(), "--machine="+h.namespace(), "--hostname="+h.Name,
		"--network-namespace-path="+filepath.Join(netnsDir, h.namespace()), "--capability=CAP_NET_ADMIN",
		"--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only")
	if h.lab.state.Light {
		args = append(args, "--as-pid2", "/bin/sh", "-c", "mkdir -p /run/sshd && /usr/sbin/sshd && exec sleep infinity")
	} else {
		args = append(args, "--boot", "--notify-ready=yes")
	}
	cmd := exec.Command("/bin/sh", args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET=" + notify}
	// A ^C at the terminal is for the lab's owner, who then ends the hosts in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

// listenReady makes the socket on which nspawn tells the leader's id and that booting is over.
func (h *Host) listenReady() (*net.UnixConn, string, error) {
	path := filepath.Join(h.dir(), "notify")
	os.Remove(path)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	return conn, path, err
}

func (h *Host) awaitReady(ctx context.Context, ready *net.UnixConn, supervisor process) error {
	buf := make([]byte, 4096)
	var leader process
	for booted := false; leader.PID == 0 || !booted; {
		n, err := ready.Read(buf)
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("wait for it to boot: %w", ctx.Err())
			}
			return errors.New("it ended while booting")
		}
		for line := range strings.Lines(string(buf[:n])) {
			line = strings.TrimSpace(line)
			if pid, ok := strings.CutPrefix(line, "X_NSPAWN_LEADER_PID="); ok {
				id, _ := strconv.Atoi(pid)
				leader = identify(id)
				p := hostProcesses{Supervisor: supervisor, Leader: leader}
				if err := writeJSON(filepath.Join(h.dir(), "processes.json"), p); err != nil {
					return err
				}
			}
			booted = booted || line == "READY=1"
		}
	}
	if !h.lab.state.Light {
		return nil // systemd says that it is ready after sshd has said so
	}
	return h.awaitSSHD(ctx, leader)
}

// awaitSSHD returns when a light host's sshd listens, which it does before it writes its id. It
// looks from inside, as a host that is cut off must be able to start as well.
func (h *Host) awaitSSHD(ctx context.Context, leader process) error {
	root := filepath.Join("/proc", strconv.Itoa(leader.PID), "root")
	for {
		id, _ := os.ReadFile(filepath.Join(root, "run/sshd.pid"))
		// The shell that starts a light host has then become what its script ends with.
		name, _ := os.ReadFile(filepath.Join(root, "proc/2/comm"))
		if len(id) > 0 && string(name) == "sleep\n" {
			return nil
		}
		if !leader.alive() {
			return errors.New("it ended before its sshd was ready")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for its sshd: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
