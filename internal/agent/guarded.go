package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// CheckPlace reports why an agent must not work where it has been put: others than root and this
// user could put something else in the place of its executable or its private directory, or see
// into that. The initiator has looked before; the agent believes only what it sees itself.
func CheckPlace(dir string) error {
	exe, err := os.Executable()
	if err == nil {
		exe, err = filepath.EvalSymlinks(exe)
	}
	if err == nil {
		err = guarded(exe)
	}
	if err == nil {
		err = guarded(dir)
	}
	if err == nil {
		err = private(dir)
	}
	if err != nil {
		return fmt.Errorf("refuse to run here: %w", err)
	}
	return nil
}

// guarded reports why somebody else could put another thing in the place of path, or change it. It
// goes from the root down: nobody can exchange what lies in a directory that has passed, so what is
// found of one path element still holds when the next is looked at.
func guarded(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%s is not an absolute path", path)
	}
	var parts []string
	for p := filepath.Clean(path); ; p = filepath.Dir(p) {
		parts = append(parts, p)
		if p == filepath.Dir(p) {
			break
		}
	}
	for i := len(parts) - 1; i >= 0; i-- {
		info, err := os.Lstat(parts[i])
		if err != nil {
			return err
		}
		if why := exposed(info, i == 0); why != "" {
			return fmt.Errorf("%s %s", parts[i], why)
		}
	}
	return nil
}

// exposed tells why others have power over a path element. In a sticky directory they have none over
// what belongs to somebody else, but the last element is not to be shared at all.
func exposed(info fs.FileInfo, last bool) string {
	uid := owner(info)
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		return "is a symbolic link"
	case uid != 0 && uid != os.Geteuid():
		return fmt.Sprintf("belongs to uid %d", uid)
	case mode.Perm()&0o022 != 0 && (last || mode&fs.ModeSticky == 0):
		return fmt.Sprintf("may be changed by others (%v)", mode)
	}
	return ""
}

// private reports why dir is not this user's alone.
func private(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || owner(info) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return errors.New(dir + " is not a private directory of this user")
	}
	return nil
}

func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}
