package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// A Host is one machine of a lab.
type Host struct {
	Name     string
	Addr     netip.Addr // IPv4; sshd listens on port 22
	Addr6    netip.Addr
	Password string // root's

	lab   *Lab
	index int
}

// Root is the path of the host's disk as the machine sees it. What the host mounts for itself,
// /run, /tmp and /dev/shm among it, is not there.
func (h *Host) Root() string { return filepath.Join(h.lab.state.disk(h.Name), "root") }

// Console is the path of the file that collects what the host prints while booting.
func (h *Host) Console() string { return filepath.Join(h.dir(), "console") }

// Running reports whether the host is powered on.
func (h *Host) Running() bool {
	_, leader := h.processes()
	return leader.alive()
}

// Run runs a program in the host as root, not by way of SSH, and returns its standard output.
// The error carries its standard error.
func (h *Host) Run(ctx context.Context, argv ...string) ([]byte, error) {
	cmd, err := h.Command(ctx, argv...)
	if err != nil {
		return nil, err
	}
	return output(cmd, "on host "+h.Name+": "+strings.Join(argv, " "))
}

// Command prepares what Run runs, for a caller who wants to set its stdin or environment.
func (h *Host) Command(ctx context.Context, argv ...string) (*exec.Cmd, error) {
	if len(argv) == 0 {
		return nil, errors.New("run on host " + h.Name + ": no command given")
	}
	_, leader := h.processes()
	if !leader.alive() {
		return nil, fmt.Errorf("run on host %s: it is not running", h.Name)
	}
	nsenter, err := find("nsenter")
	if err != nil {
		return nil, err
	}
	args := []string{"--target", strconv.Itoa(leader.PID), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"}
	cmd := exec.CommandContext(ctx, nsenter, append(args, argv...)...)
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "USER=root", "LANG=C.UTF-8",
	}
	return cmd, nil
}

func (h *Host) dir() string       { return filepath.Join(h.lab.Dir, h.Name) }
func (h *Host) namespace() string { return h.lab.state.Subnet.namespace(h.Name) }
func (h *Host) port() string      { return h.lab.state.Subnet.port(h.index) }

// exclusive keeps other goroutines and processes from starting or stopping the host.
func (h *Host) exclusive(ctx context.Context) (unlock func(), err error) {
	return flock(ctx, filepath.Join(h.dir(), "lock"))
}

type hostProcesses struct {
	Supervisor process `json:"supervisor"`
	Leader     process `json:"leader"`
}

// processes returns the container's supervisor, and the first process inside; they may be dead.
func (h *Host) processes() (supervisor, leader process) {
	b, err := os.ReadFile(filepath.Join(h.dir(), "processes.json"))
	if err != nil {
		return process{}, process{}
	}
	var p hostProcesses
	if json.Unmarshal(b, &p) != nil {
		return process{}, process{}
	}
	return p.Supervisor, p.Leader
}
