// Package edits follows graph files as people save them.
package edits

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"spore/engine/manifest"
	"spore/internal/fswatch"
)

// quiet is how long a file must be left alone before it is read: an editor may truncate a file
// first and write it then.
const quiet = 10 * time.Millisecond

// A Follower follows graph files, and what travels with them.
type Follower struct {
	Hub     *fswatch.Hub
	Options manifest.Options
	Log     *slog.Logger
}

// Follow calls changed with each later version of m, once per save that makes a difference, until
// ctx is done. A version with mistakes is reported and otherwise passed over.
func (f *Follower) Follow(ctx context.Context, m *manifest.Manifest, changed func(*manifest.Manifest)) error {
	saved := make(chan struct{}, 1)
	note := func() {
		select {
		case saved <- struct{}{}:
		default:
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &watches{hub: f.Hub, note: note, failed: make(chan error, 1), running: map[string]context.CancelFunc{}}
	defer w.wait()
	defer cancel()
	file, err := filepath.Abs(m.File)
	if err != nil {
		return fmt.Errorf("follow edits: %w", err)
	}
	w.file = file
	w.set(ctx, m)
	digest, complaint := m.Digest(), ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.failed:
			return err
		case <-saved:
			if !settle(ctx, saved) {
				return nil
			}
		}
		next, err := manifest.Load(m.File, f.Options)
		if err != nil {
			if err.Error() != complaint {
				f.Log.Error("edit refused; the last good graph stays", "err", "\n"+err.Error())
			}
			complaint = err.Error()
			continue
		}
		complaint = ""
		if d := next.Digest(); d != digest {
			digest = d
			w.set(ctx, next)
			changed(next)
		}
	}
}

// settle waits until saved is silent.
func settle(ctx context.Context, saved <-chan struct{}) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-saved:
		case <-time.After(quiet):
			return true
		}
	}
}

// watches are those of one manifest's file and of what lies under its sources.
type watches struct {
	hub     *fswatch.Hub
	file    string // of the manifest, absolute
	note    func()
	failed  chan error
	running map[string]context.CancelFunc
	all     sync.WaitGroup
}

func (w *watches) set(ctx context.Context, m *manifest.Manifest) {
	wanted := map[string]bool{w.file: false} // path to recursive
	for _, f := range m.Files {
		wanted[top(f)] = true
	}
	for path, cancel := range w.running {
		if _, ok := wanted[path]; !ok {
			cancel()
			delete(w.running, path)
		}
	}
	for path, recursive := range wanted {
		if w.running[path] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		w.running[path] = cancel
		w.all.Go(func() {
			err := w.hub.Watch(ctx, path, fswatch.Options{Recursive: recursive}, w.note)
			if err != nil && ctx.Err() == nil {
				select {
				case w.failed <- err:
				default:
				}
			}
		})
	}
}

// top returns the first element below the manifest's directory of the path of what travels with it.
func top(f manifest.File) string {
	dir := strings.TrimSuffix(f.Path, filepath.FromSlash(f.Name))
	first, _, _ := strings.Cut(f.Name, "/")
	return filepath.Join(dir, first)
}

func (w *watches) wait() { w.all.Wait() }
