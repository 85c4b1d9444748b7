package fswatch

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"spore/internal/fswatch/mounts"
)

func covers(dir, path string) bool { return dir != "" && mounts.Covers(dir, path) }

// readErrors has a goroutine of its own that takes no lock: fsnotify reports some errors while it
// holds its own lock, which readEvents may be waiting for.
func (h *Hub) readErrors(errs <-chan error, lost chan<- struct{}) {
	for err := range errs {
		if !errors.Is(err, fsnotify.ErrEventOverflow) {
			h.log.Debug("file watcher", "err", err)
			continue
		}
		select {
		case lost <- struct{}{}:
		default:
		}
	}
}

func (h *Hub) readEvents(events <-chan fsnotify.Event, lost <-chan struct{}) {
	for {
		select {
		case ev, ok := <-events:
			if !ok {
				return
			}
			h.handle(filepath.Clean(ev.Name), ev.Op)
		case <-lost:
			h.log.Debug("file events were lost; everything is looked at again")
			h.mounted(nil)
		}
	}
}

// handle tells the watches that an event concerns.
func (h *Hub) handle(path string, op fsnotify.Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	if d := h.byPath[path]; d != nil {
		h.handleDir(d, op)
	}
	parent, name := h.byPath[filepath.Dir(path)], filepath.Base(path)
	if parent != nil && path != parent.path {
		for w := range parent.subs[name] {
			if op == fsnotify.Write {
				w.tell()
			} else {
				h.stale[w] = struct{}{}
			}
		}
		h.handleTree(parent, path, op)
	}
	h.settle()
}

// handleDir deals with an event that is about d itself, seen from d or from the directory above.
func (h *Hub) handleDir(d *dir, op fsnotify.Op) {
	if op.Has(fsnotify.Remove) || op.Has(fsnotify.Rename) {
		h.kill(d)
		return
	}
	if op.Has(fsnotify.Create) {
		// It was just opened by a walk, unless it is another one by now.
		if got, err := identify(d.path); err != nil || got != d.id {
			h.kill(d)
		}
		return
	}
	for _, name := range []string{itself, everything} {
		for w := range d.subs[name] {
			w.tell()
		}
	}
}

// handleTree tells the watches that have all of parent in their tree, and lets them see what is
// in a new directory.
func (h *Hub) handleTree(parent *dir, path string, op fsnotify.Op) {
	subs := parent.subs[everything]
	if len(subs) == 0 {
		return
	}
	isNew := false
	if op.Has(fsnotify.Create) {
		fi, err := os.Lstat(path)
		isNew = err == nil && fi.IsDir()
	}
	for w := range subs {
		if isNew {
			if err := h.descend(w, path, everything); err != nil {
				w.fail(err)
			}
		}
		w.tell()
	}
}

// mounted lets every watch begin anew that has to do with one of points, or all if there are none.
func (h *Hub) mounted(points []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	if len(points) == 0 {
		points = []string{"/"}
	}
	for _, point := range points {
		for path, d := range h.byPath {
			if !mounts.Covers(point, path) {
				continue
			}
			for _, subs := range d.subs {
				for w := range subs {
					h.stale[w] = struct{}{}
				}
			}
			h.kill(d)
		}
	}
	h.settle()
}
