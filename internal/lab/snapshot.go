package lab

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A Snapshot is all on a host that a program could leave behind. Each map goes from what a thing
// is called to what it is like.
type Snapshot struct {
	Processes map[string]string // command line → how many
	Sockets   map[string]string // listening: protocol and address or path
	Files     map[string]string // path → mode, owner, size, time; what the image has unchanged is left out
	Mounts    map[string]string
	Users     map[string]string // of /etc/passwd and /etc/group
	Units     map[string]string // systemd's, active or failed
}

// Snapshot records the host's present state, from outside: it does not log in.
func (h *Host) Snapshot(ctx context.Context) (Snapshot, error) {
	s := Snapshot{Units: map[string]string{}}
	_, leader := h.processes()
	if !leader.alive() {
		return s, fmt.Errorf("snapshot of host %s: it is not running", h.Name)
	}
	if !h.lab.state.Light {
		out, err := h.Run(ctx, "systemctl", "list-units", "--plain", "--no-legend", "--no-pager")
		if err != nil {
			return s, err
		}
		s.Units = parseUnits(string(out))
	}
	proc := filepath.Join("/proc", strconv.Itoa(leader.PID))
	var err error
	if s.Sockets, err = readSockets(filepath.Join(proc, "net")); err != nil {
		return s, fmt.Errorf("snapshot of host %s: %w", h.Name, err)
	}
	s.Processes = readProcesses(filepath.Join(proc, "root/proc"))
	s.Users = readUsers(h.Root())
	mounts, err := os.ReadFile(filepath.Join(proc, "mounts"))
	if err != nil {
		return s, fmt.Errorf("snapshot of host %s: %w", h.Name, err)
	}
	s.Mounts = parseMounts(string(mounts))
	s.Files = map[string]string{}
	if err := h.diskFiles(s.Files); err != nil {
		return s, fmt.Errorf("snapshot of host %s: %w", h.Name, err)
	}
	for point, kind := range s.Mounts {
		if kind == "tmpfs" && !strings.HasPrefix(point, "/sys") && !strings.HasPrefix(point, "/proc") {
			err = walkFiles(ctx, filepath.Join(proc, "root"), point, s.Files)
		}
		if err != nil {
			return s, fmt.Errorf("snapshot of host %s: %w", h.Name, err)
		}
	}
	return s, nil
}

// readProcesses counts command lines. A zombie has none: it is not counted.
func readProcesses(proc string) map[string]string {
	count := map[string]int{}
	for _, pid := range pids(proc) {
		b, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "cmdline"))
		line := strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
		if err == nil && line != "" {
			if before, _, ok := strings.Cut(line, " [listener]"); ok {
				line = strings.TrimPrefix(before, "sshd: ") // it counts its log-ins in its title
			}
			count[line]++
		}
	}
	out := map[string]string{}
	for line, n := range count {
		out[line] = fmt.Sprintf("×%d", n)
	}
	return out
}

func readUsers(root string) map[string]string {
	out := map[string]string{}
	for _, kind := range []string{"passwd", "group"} {
		b, _ := os.ReadFile(filepath.Join(root, "etc", kind))
		for line := range strings.Lines(string(b)) {
			name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
			out[kind+" "+name] = rest
		}
	}
	return out
}

func parseUnits(list string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) >= 3 {
			out[f[0]] = f[2]
		}
	}
	return out
}

func parseMounts(mounts string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(mounts) {
		if f := strings.Fields(line); len(f) >= 3 {
			out[unescapeMount(f[1])] = f[2]
		}
	}
	return out
}

// diskFiles records how the host's disk differs from the image it started from.
func (h *Host) diskFiles(files map[string]string) error {
	upper := filepath.Join(h.lab.state.disk(h.Name), "upper")
	image, err := lowerDir(h.Root())
	if err != nil {
		return err
	}
	return filepath.WalkDir(upper, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		info, err := os.Lstat(path)
		if err != nil {
			return ignoreGone(err)
		}
		name := "/" + strings.TrimPrefix(strings.TrimPrefix(path, upper), "/")
		was, err := os.Lstat(filepath.Join(image, name))
		switch {
		case isWhiteout(info):
			files[name] = "deleted"
		case err != nil || describe(was) != describe(info):
			files[name] = describe(info)
		}
		return nil
	})
}

// walkFiles records all that is below a directory of the host's tmpfs.
func walkFiles(ctx context.Context, root, dir string, files map[string]string) error {
	return filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return ignoreGone(err)
		}
		info, err := os.Lstat(path)
		if err != nil {
			return ignoreGone(err)
		}
		files[strings.TrimPrefix(path, root)] = describe(info)
		return nil
	})
}

// ignoreGone forgives what vanished between being listed and being looked at.
func ignoreGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// describe leaves the time and size of all but regular files out: a directory's change whenever
// something in it comes and goes, and what stays there is seen by itself.
func describe(info fs.FileInfo) string {
	owner := ""
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = fmt.Sprintf(" %d:%d", st.Uid, st.Gid)
	}
	if !info.Mode().IsRegular() {
		return info.Mode().String() + owner
	}
	return fmt.Sprintf("%s%s %d bytes %s", info.Mode(), owner, info.Size(), info.ModTime().UTC().Format("15:04:05.000000000 2006-01-02"))
}

// isWhiteout recognises overlayfs's mark for a file of the image that was deleted.
func isWhiteout(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0
}

// lowerDir tells which image an overlay was mounted on.
func lowerDir(merged string) (string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 4 || unescapeMount(f[1]) != merged {
			continue
		}
		for opt := range strings.SplitSeq(f[3], ",") {
			if dir, ok := strings.CutPrefix(opt, "lowerdir="); ok {
				return dir, nil
			}
		}
	}
	return "", fmt.Errorf("%s is not mounted", merged)
}
