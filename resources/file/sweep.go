package file

import (
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// drafts knows in which directories left-overs of killed runs were looked for.
type drafts struct {
	mu    sync.Mutex
	swept map[string]bool
}

// again lets the next sweep of root look.
func (d *drafts) again(root *os.Root) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.swept, root.Name())
}

// sweep removes the drafts in root that nobody works on, at the first Apply there of this process.
func (d *drafts) sweep(root *os.Root) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.swept[root.Name()] {
		return nil
	}
	if d.swept == nil {
		d.swept = make(map[string]bool)
	}
	d.swept[root.Name()] = true
	dir, err := root.Open(".")
	if err != nil {
		return nil // we may write here without seeing what is there
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		if isDraft(name) {
			sweepOne(root, name)
		}
	}
	return err
}

func isDraft(name string) bool {
	return strings.HasPrefix(name, draftPrefix) && strings.HasSuffix(name, draftSuffix)
}

// sweepOne removes a draft unless it is locked; a symlink, which cannot be locked, if it is old.
func sweepOne(root *os.Root, name string) {
	fi, err := root.Lstat(name)
	if err != nil {
		return
	}
	if fi.Mode().Type() == fs.ModeSymlink {
		if time.Since(fi.ModTime()) > time.Minute {
			_ = root.Remove(name)
		}
		return
	}
	f, err := root.OpenFile(name, os.O_RDONLY|noFollow|nonBlock, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		_ = root.RemoveAll(name)
	}
}
