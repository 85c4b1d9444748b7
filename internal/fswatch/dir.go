package fswatch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// A dir is one directory watched by fsnotify, shared by all watches that have a point in it. It is
// dropped with its last point, and killed when its path may no longer lead to it.
type dir struct {
	path string // as given to fsnotify
	id   id
	subs map[string]map[*watch]struct{}

	parent *dir // by path; nil if that is not watched
	kids   map[*dir]struct{}
}

// An id tells directories apart, as long as they exist. fsnotify, like inotify, knows a directory
// that is reached by two paths (a bind mount) by the first one only.
type id struct{ dev, ino uint64 }

func identify(path string) (id, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return id{}, err
	}
	if !fi.IsDir() {
		return id{}, syscall.ENOTDIR
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return id{}, fmt.Errorf("no inode number: %w", errors.ErrUnsupported)
	}
	return id{uint64(st.Dev), uint64(st.Ino)}, nil
}

// dir returns the watched directory at path, which is clean and free of symlinks.
func (h *Hub) dir(path string) (*dir, error) {
	got, err := identify(path)
	if err != nil {
		return nil, err
	}
	if d := h.byPath[path]; d != nil {
		if d.id == got {
			return d, nil
		}
		h.kill(d)
	}
	if d := h.byID[got]; d != nil {
		if there, err := identify(d.path); err == nil && there == got {
			return d, nil
		}
		h.kill(d)
	}
	if err := h.fs.Add(path); err != nil {
		return nil, explain(err)
	}
	d := &dir{path: path, id: got, subs: make(map[string]map[*watch]struct{}), kids: make(map[*dir]struct{})}
	h.byPath[path], h.byID[got] = d, d
	if d.parent = h.byPath[filepath.Dir(path)]; d.parent == d {
		d.parent = nil
	}
	if d.parent != nil {
		d.parent.kids[d] = struct{}{}
	}
	return d, nil
}

func (d *dir) subscribe(w *watch, name string) {
	subs := d.subs[name]
	if subs == nil {
		subs = make(map[*watch]struct{})
		d.subs[name] = subs
	}
	subs[w] = struct{}{}
}

// unsubscribe reports whether nobody is left.
func (d *dir) unsubscribe(w *watch, name string) bool {
	delete(d.subs[name], w)
	if len(d.subs[name]) == 0 {
		delete(d.subs, name)
	}
	return len(d.subs) == 0
}

// drop ends the watch of d. Dropping it twice does no harm.
func (h *Hub) drop(d *dir) {
	if h.byPath[d.path] != d {
		return
	}
	delete(h.byPath, d.path)
	delete(h.byID, d.id)
	if d.parent != nil {
		delete(d.parent.kids, d)
	}
	for kid := range d.kids {
		kid.parent = nil
	}
	if err := h.fs.Remove(d.path); err != nil && !errors.Is(err, fsnotify.ErrNonExistentWatch) {
		// The kernel has ended the watch already, with the directory itself.
		h.log.Debug("end of watch", "directory", d.path, "err", err)
	}
}

// kill drops d and what is below, and makes the watches that came this way stale. Those that only
// have d in their tree are not: whatever took the place of d is told of by the directory above.
func (h *Hub) kill(d *dir) {
	for kid := range d.kids {
		h.kill(kid)
	}
	h.drop(d)
	for name, subs := range d.subs {
		for w := range subs {
			delete(w.points, point{d, name})
			if name != everything || d.path == w.root || !covers(w.root, d.path) {
				h.stale[w] = struct{}{}
			}
		}
	}
	clear(d.subs)
}

func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

// explain turns the kernel's words for its limits into ones that a person can act on.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return errors.New("no inotify watches left; raise the sysctl fs.inotify.max_user_watches")
	case errors.Is(err, syscall.EMFILE):
		return errors.New("no inotify instances or open files left; raise the sysctl fs.inotify.max_user_instances or the limit of open files")
	}
	return err
}
