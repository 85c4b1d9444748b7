package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// cgroupParents names the directories in which each host gets a cgroup of its own, so that the
// systemds of several hosts do not take each other's for theirs. They lie below this process's
// own cgroup: whatever limits the lab's owner limits its hosts.
func cgroupParents() []string {
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil
	}
	return parseCgroups(string(self), string(mounts))
}

func parseCgroups(self, mounts string) []string {
	var out []string
	for line := range strings.Lines(self) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 || (f[1] != "" && f[1] != "name=systemd") {
			continue // the other controllers' trees are read-only in a host
		}
		for mount := range strings.Lines(mounts) {
			m := strings.Fields(mount)
			if len(m) < 4 {
				continue
			}
			v2 := m[2] == "cgroup2" && f[1] == ""
			v1 := m[2] == "cgroup" && f[1] != "" && slices.Contains(strings.Split(m[3], ","), f[1])
			if v1 || v2 {
				out = append(out, filepath.Join(m[1], f[2], "spore-lab"))
				break
			}
		}
	}
	return out
}

// removeCgroup removes a tree of cgroups, giving processes that have just been killed the
// moment they need to vanish from it.
func removeCgroup(ctx context.Context, root string) error {
	for {
		err := removeCgroupOnce(root)
		if !errors.Is(err, syscall.EBUSY) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove cgroup: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func removeCgroupOnce(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
			return &os.PathError{Op: "rmdir", Path: dir, Err: err}
		}
	}
	return nil
}
