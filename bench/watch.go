package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"spore/internal/lab"
)

// A watcher sees from outside what the files of one directory hold on each host, without taking
// part.
type watcher struct {
	dir    string // below the root
	notify *fsnotify.Watcher
}

func watch(hosts []*lab.Host, dir string) (*watcher, error) {
	n, err := fsnotify.NewBufferedWatcher(4096)
	if err != nil {
		return nil, err
	}
	w := &watcher{dir: dir, notify: n}
	for _, h := range hosts {
		if err := n.Add(filepath.Join(h.Root(), dir)); err != nil {
			w.close()
			return nil, fmt.Errorf("watch host %s: %w", h.Name, err)
		}
	}
	return w, nil
}

func (w *watcher) close() { w.notify.Close() }

func (w *watcher) path(h *lab.Host, file string) string { return filepath.Join(h.Root(), w.dir, file) }

// await returns when the file holds text on all of hosts.
func (w *watcher) await(ctx context.Context, file, text string, hosts ...*lab.Host) error {
	late := time.After(patience)
	for _, h := range hosts {
		for {
			if got, err := os.ReadFile(w.path(h, file)); err == nil && string(got) == text {
				break
			}
			select {
			case <-w.notify.Events:
			case err := <-w.notify.Errors:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-late:
				return fmt.Errorf("host %s: %s does not hold %q after %v", h.Name, file, text, patience)
			}
		}
	}
	return nil
}
