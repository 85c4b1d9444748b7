// Package fswatch tells when paths change, through one fsnotify instance for the whole process.
//
// A path is watched by watching every directory on the way to it, each for one name only: so it is
// seen when the path, or any of its parents, appears, goes away, is replaced by a rename or is
// reached through a symlink that now points elsewhere. Watches of the same directory are shared,
// and an event reaches those it concerns by a look-up, not by a scan. Nothing is polled.
//
// Two changes cannot be seen: a write to a file through a hard link in another directory, and
// what other hosts do to a network file system.
package fswatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"

	"spore/internal/fswatch/mounts"
)

// ErrClosed is returned by Watch when its Hub is or gets closed.
var ErrClosed = errors.New("the file watcher is closed")

// A Hub multiplexes any number of watches over one fsnotify instance. Its methods are safe for
// concurrent use.
type Hub struct {
	log *slog.Logger

	mu      sync.Mutex
	fs      *fsnotify.Watcher // nil until the first Watch
	closed  bool
	stop    context.CancelFunc // ends the loops
	loops   sync.WaitGroup
	byPath  map[string]*dir // by the path it was opened with
	byID    map[id]*dir
	watches map[*watch]struct{}
	stale   map[*watch]struct{} // to be walked again before mu is released
}

// New returns a Hub that takes nothing from the system before its first Watch.
func New(log *slog.Logger) *Hub {
	return &Hub{
		log:     log,
		byPath:  make(map[string]*dir),
		byID:    make(map[id]*dir),
		watches: make(map[*watch]struct{}),
		stale:   make(map[*watch]struct{}),
	}
}

// Options say how a path is watched.
type Options struct {
	Recursive bool // the whole tree below the path as well; symlinks in it are not followed
}

// Watch calls changed once when it is watching path, then whenever path may have changed: its
// content, its attributes, or whether and through which directories it exists. Changes in quick
// succession may be told as one. changed is called by the calling goroutine. Watch returns nil when
// ctx is done, and an error if path is not absolute or cannot be watched (any longer).
func (h *Hub) Watch(ctx context.Context, path string, opts Options, changed func()) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("watch %s: the path is not absolute", path)
	}
	w := newWatch(filepath.Clean(path), opts.Recursive)
	if err := h.add(w); err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	defer h.remove(w)
	for changed(); ; {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.failed:
			return fmt.Errorf("watch %s: %w", path, err)
		case <-w.dirty:
			changed()
		}
	}
}

// Close ends every Watch with ErrClosed and gives back what the Hub took.
func (h *Hub) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	for w := range h.watches {
		w.fail(ErrClosed)
	}
	fs := h.fs
	h.mu.Unlock()
	if fs == nil {
		return nil
	}
	h.stop()
	err := fs.Close()
	h.loops.Wait()
	if err != nil {
		return fmt.Errorf("close file watcher: %w", err)
	}
	return nil
}

func (h *Hub) add(w *watch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.open(); err != nil {
		return err
	}
	h.watches[w] = struct{}{}
	err := h.walk(w)
	if err != nil {
		h.forget(w)
	}
	h.settle()
	return err
}

func (h *Hub) remove(w *watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(w)
}

func (h *Hub) forget(w *watch) {
	for p := range w.points {
		h.release(w, p)
	}
	delete(h.watches, w)
	delete(h.stale, w)
}

// open takes the fsnotify instance and starts the loops that read it.
func (h *Hub) open() error {
	if h.closed {
		return ErrClosed
	}
	if h.fs != nil {
		return nil
	}
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return explain(err)
	}
	mounted, err := mounts.NewWatcher()
	if err != nil {
		fs.Close()
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.fs, h.stop = fs, cancel
	lost := make(chan struct{}, 1)
	h.loops.Go(func() { h.readErrors(fs.Errors, lost) })
	h.loops.Go(func() { h.readEvents(fs.Events, lost) })
	h.loops.Go(func() {
		if err := mounted.Watch(ctx, h.mounted); err != nil {
			h.log.Warn("mounts are not watched", "err", err)
		}
	})
	return nil
}
