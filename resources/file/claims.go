package file

import (
	"path/filepath"
	"sync"
	"time"

	"spore/internal/fswatch/mounts"
)

// linger is how long a claim outlives its resource: a live edit of the graph stops a resource
// before it starts its successor, and in between the file is not to be purged.
const linger = 2 * time.Second

// claims are the paths that resources declare, so that no purge of a directory takes them for
// nobody's.
type claims struct {
	linger time.Duration

	mu        sync.Mutex
	paths     map[claim]int
	listeners map[*func()]struct{}
}

// A claim is to a path and, of a tree, to all below it.
type claim struct {
	path string
	tree bool
}

func newClaims(linger time.Duration) *claims {
	return &claims{linger: linger, paths: make(map[claim]int), listeners: make(map[*func()]struct{})}
}

func (c *claims) add(p claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paths[p]++
}

// remove gives up a claim, after a while.
func (c *claims) remove(p claim) {
	time.AfterFunc(c.linger, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.paths[p]--; c.paths[p] > 0 {
			return
		}
		delete(c.paths, p)
		for changed := range c.listeners {
			(*changed)()
		}
	})
}

// notify calls changed, which must not block, when a path is no longer claimed, until the function
// it returns is called.
func (c *claims) notify(changed func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners[&changed] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.listeners, &changed)
	}
}

// has reports whether a resource declares path, by itself or in a tree.
func (c *claims) has(path string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.paths {
		if p.path == path || p.tree && mounts.Covers(p.path, path) {
			return true
		}
	}
	return false
}

// known returns every claimed path with all its parents, and whether all below is claimed as well.
func (c *claims) known() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := make(map[string]bool, len(c.paths))
	for p := range c.paths {
		known[p.path] = known[p.path] || p.tree
		for dir := filepath.Dir(p.path); dir != p.path; p.path, dir = dir, filepath.Dir(dir) {
			known[dir] = known[dir] || false
		}
	}
	return known
}
