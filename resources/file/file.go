// Package file is the kind that keeps files, directories and trees of them.
//
// Every new content is written under a temporary name in the directory of the file, gets its owner
// and permissions before its bytes, and is renamed into place: readers see the old or the new. What
// is replaced hands on what the spec does not declare: owner, group, permissions, ACLs, labels and
// other extended attributes. A directory is opened once and all work in it is relative to it, so
// that nobody who may write there can divert it.
package file

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"spore/engine"
	"spore/internal/fswatch"
)

// Kind returns the kind, whose resources watch through hub.
func Kind(hub *fswatch.Hub) engine.Kind {
	claims, drafts := newClaims(linger), new(drafts)
	return engine.NewKind("file", "Keeps a file, a directory or a tree.",
		func(_ string, spec Spec, env engine.Env) (engine.Resource, error) {
			if err := spec.Validate(); err != nil {
				return nil, err
			}
			if spec.SourcePath != "" && !filepath.IsAbs(spec.SourcePath) {
				return nil, fmt.Errorf("the source %s did not travel with the graph", spec.SourcePath)
			}
			path := filepath.Clean(spec.path())
			claimed := claim{path, spec.isTree()}
			claims.add(claimed)
			return &resource{
				spec: spec, path: path, hub: hub, claims: claims, drafts: drafts,
				release: sync.OnceFunc(func() { claims.remove(claimed) }),
			}, nil
		})
}

type resource struct {
	spec    Spec
	path    string // clean
	hub     *fswatch.Hub
	claims  *claims
	drafts  *drafts
	release func()
}

// Watch watches the path and, where there is one, the source.
func (r *resource) Watch(ctx context.Context, changed func()) error {
	if r.spec.Purge {
		defer r.claims.notify(changed)()
	}
	if r.spec.SourcePath == "" {
		return r.hub.Watch(ctx, r.path, fswatch.Options{Recursive: r.spec.isTree()}, changed)
	}
	var missing atomic.Int32
	missing.Store(2)
	group, ctx := errgroup.WithContext(ctx)
	for _, path := range []string{r.path, filepath.Clean(r.spec.SourcePath)} {
		first := true
		group.Go(func() error {
			return r.hub.Watch(ctx, path, fswatch.Options{Recursive: r.spec.isTree()}, func() {
				if first {
					first = false
					missing.Add(-1)
				}
				if missing.Load() <= 0 {
					changed()
				}
			})
		})
	}
	return group.Wait()
}

// Check reports what differs.
func (r *resource) Check(ctx context.Context) ([]engine.Change, error) {
	if r.spec.State == Absent {
		return r.checkAbsent()
	}
	wants, err := r.wants(ctx)
	if err != nil {
		return nil, err
	}
	if skip, err := r.leftOpen(); skip || err != nil {
		return nil, err
	}
	var changes []engine.Change
	for _, w := range wants {
		found, err := w.check(ctx)
		if err == nil && len(found) > 0 {
			err = r.forecast(w, found)
		}
		if err != nil {
			return nil, err
		}
		changes = append(changes, found...)
	}
	if r.spec.Purge {
		extra, err := r.extra(ctx, wants)
		if err != nil {
			return nil, err
		}
		for _, path := range extra {
			changes = append(changes, engine.Change{Field: "purge", From: r.relative(path) + " exists", To: "absent"})
		}
	}
	return shorten(changes), nil
}

// Apply makes it so. It looks again rather than rely on what Check found some time ago.
func (r *resource) Apply(ctx context.Context, _ []engine.Change) error {
	if r.spec.State == Absent {
		return r.remove(ctx)
	}
	wants, err := r.wants(ctx)
	if err != nil {
		return err
	}
	if skip, err := r.leftOpen(); skip || err != nil {
		return err
	}
	for _, w := range wants {
		if err := w.apply(ctx, r.drafts); err != nil {
			return err
		}
	}
	if !r.spec.Purge {
		return nil
	}
	return r.purge(ctx, wants)
}

// Close gives up the claim to the path.
func (r *resource) Close() error {
	r.release()
	return nil
}

// leftOpen reports whether there is nothing to be kept, which is fine where state is undefined.
func (r *resource) leftOpen() (bool, error) {
	if r.spec.State != Undefined {
		return false, nil
	}
	fi, err := lstat(r.path)
	return fi == nil, err
}

// relative is how a path of the tree is called in changes and errors.
func (r *resource) relative(path string) string {
	if rel, err := filepath.Rel(r.path, path); err == nil && rel != "." {
		return rel
	}
	return path
}

// most is how many changes of a tree are told one by one.
const most = 50

func shorten(changes []engine.Change) []engine.Change {
	if len(changes) <= most {
		return changes
	}
	rest := engine.Change{Field: "recurse", To: fmt.Sprintf("%d more changes", len(changes)-most)}
	return append(changes[:most:most], rest)
}
