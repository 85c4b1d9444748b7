package lab

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A process is named by its id and start time, so that a recycled id is never taken for it.
type process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot
}

// stat returns the parent, the start time and the state of a process.
func stat(pid int) (ppid int, start uint64, state byte, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, 0, false
	}
	// The command, in parentheses, may itself hold spaces and parentheses.
	i := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[i+1:]))
	if i < 0 || len(f) < 20 {
		return 0, 0, 0, false
	}
	ppid, err1 := strconv.Atoi(f[1])
	start, err2 := strconv.ParseUint(f[19], 10, 64)
	return ppid, start, f[0][0], err1 == nil && err2 == nil
}

func identify(pid int) process {
	_, start, _, _ := stat(pid)
	return process{PID: pid, Start: start}
}

// alive is false for a zombie too: it runs nothing any more.
func (p process) alive() bool {
	if p.PID <= 0 {
		return false
	}
	_, start, state, ok := stat(p.PID)
	return ok && start == p.Start && state != 'Z' && state != 'X'
}

func (p process) kill() {
	if p.alive() {
		syscall.Kill(p.PID, syscall.SIGKILL)
	}
}

// pids lists the processes of a /proc directory.
func pids(proc string) []int {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// inNamespaces finds the processes whose network namespace is one of those at paths.
func inNamespaces(paths []string) []process {
	type id struct{ dev, ino uint64 }
	wanted := map[id]bool{}
	for _, path := range paths {
		if dev, ino, err := inode(path); err == nil {
			wanted[id{dev, ino}] = true
		}
	}
	var out []process
	for _, pid := range pids("/proc") {
		dev, ino, err := inode(filepath.Join("/proc", strconv.Itoa(pid), "ns/net"))
		if err == nil && wanted[id{dev, ino}] {
			out = append(out, identify(pid))
		}
	}
	return out
}

// withArgument finds the processes that have an argument that begins with prefix.
func withArgument(prefix string) []process {
	var out []process
	for _, pid := range pids("/proc") {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err == nil && bytes.Contains(b, []byte("\x00"+prefix)) {
			out = append(out, identify(pid))
		}
	}
	return out
}

// mountsBelow lists mount points at or under dir, the deepest and latest first.
func mountsBelow(dir string) []string {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		path := unescapeMount(f[4])
		if path == dir || strings.HasPrefix(path, dir+"/") {
			out = append([]string{path}, out...)
		}
	}
	return out
}

func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// removeDisk removes a tree, after taking off what is mounted in it.
func removeDisk(dir string) error {
	for _, m := range mountsBelow(dir) {
		if err := unmount(m); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}
