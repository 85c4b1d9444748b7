package fswatch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxLinks is how many symlinks a path may lead through, as the kernel has it.
const maxLinks = 40

// A watch is one call of Hub.Watch. All but its channels and constants is guarded by Hub.mu.
type watch struct {
	path      string
	recursive bool
	dirty     chan struct{} // capacity 1
	failed    chan error    // capacity 1

	root   string // where path leads to if that is a directory, symlinks resolved
	points map[point]int
	round  int // of walk; a point of an earlier round is no longer on the way
}

// A point is a name in a directory that a watch wants to hear of.
type point struct {
	dir  *dir
	name string
}

// Names of points that no file can have.
const (
	everything = ""  // all that is in the directory
	itself     = "." // the directory's own attributes
)

func newWatch(path string, recursive bool) *watch {
	return &watch{
		path: path, recursive: recursive,
		dirty: make(chan struct{}, 1), failed: make(chan error, 1),
		points: make(map[point]int),
	}
}

func (w *watch) tell() {
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

func (w *watch) fail(err error) {
	select {
	case w.failed <- err:
	default:
	}
}

// settle walks the stale watches again and tells them.
func (h *Hub) settle() {
	for len(h.stale) > 0 {
		for w := range h.stale {
			delete(h.stale, w)
			if err := h.walk(w); err != nil {
				w.fail(err)
			}
			w.tell()
		}
	}
}

// walk finds the points of w anew. A directory is opened before what is in it is looked at, so that
// nothing slips in between.
func (h *Hub) walk(w *watch) error {
	w.round++
	w.root = ""
	dir, err := h.walkChain(w)
	if err == nil && dir != "" {
		w.root = dir
		name := itself
		if w.recursive {
			name = everything
		}
		err = h.descend(w, dir, name)
	}
	if err != nil {
		return err
	}
	for p, round := range w.points {
		if round != w.round {
			h.release(w, p)
		}
	}
	return nil
}

// walkChain adds a point for each name on the way to w.path, as far as it exists. It returns the
// directory the path leads to, if it does lead to one.
func (h *Hub) walkChain(w *watch) (string, error) {
	dir, rest, links := "/", split(w.path), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == ".." { // in a symlink's target; dir is free of symlinks
			dir = filepath.Dir(dir)
			continue
		}
		if err := h.acquire(w, dir, name); gone(err) {
			return "", nil
		} else if err != nil && (len(rest) == 0 || !errors.Is(err, fs.ErrPermission)) {
			return "", err
		}
		path := filepath.Join(dir, name)
		fi, err := os.Lstat(path)
		switch {
		case err != nil: // told of by the point just added
			return "", nil
		case fi.IsDir():
			dir = path
		case fi.Mode().Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if links++; err != nil || links > maxLinks {
				return "", nil
			}
			if filepath.IsAbs(target) {
				dir = "/"
			}
			rest = append(split(target), rest...)
		default:
			return "", nil
		}
	}
	return dir, nil
}

// descend adds a point for name in dir and, if that is everything, in all directories below.
func (h *Hub) descend(w *watch, dir, name string) error {
	if err := h.acquire(w, dir, name); gone(err) {
		return nil
	} else if err != nil {
		return err
	}
	if name != everything {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if gone(err) {
		return nil
	} else if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := h.descend(w, filepath.Join(dir, e.Name()), name); err != nil {
				return err
			}
		}
	}
	return nil
}

// acquire adds a point to w.
func (h *Hub) acquire(w *watch, path, name string) error {
	d, err := h.dir(path)
	if err != nil {
		return fmt.Errorf("directory %s: %w", path, err)
	}
	d.subscribe(w, name)
	w.points[point{d, name}] = w.round
	return nil
}

func (h *Hub) release(w *watch, p point) {
	delete(w.points, p)
	if p.dir.unsubscribe(w, p.name) {
		h.drop(p.dir)
	}
}

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}
