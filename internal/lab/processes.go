package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A Process is one that runs in a host.
type Process struct {
	PID    int // as the host knows it
	Parent int
	Args   []string
}

// Processes lists the processes of the host, from outside: it starts none. Those that have ended but
// are not reaped, and the kernel's own, are left out.
func (h *Host) Processes() ([]Process, error) {
	_, leader := h.processes()
	if !leader.alive() {
		return nil, fmt.Errorf("processes of host %s: it is not running", h.Name)
	}
	proc := filepath.Join("/proc", strconv.Itoa(leader.PID), "root/proc")
	var out []Process
	for _, pid := range pids(proc) {
		args, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "cmdline"))
		if err != nil || len(args) == 0 {
			continue
		}
		status, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
		if err != nil {
			continue
		}
		p := Process{PID: pid, Args: strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00")}
		// After the command in parentheses: its state and its parent.
		if f := strings.Fields(string(status[bytes.LastIndexByte(status, ')')+1:])); len(f) > 1 {
			p.Parent, _ = strconv.Atoi(f[1])
		}
		out = append(out, p)
	}
	return out, nil
}
