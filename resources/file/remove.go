package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"spore/engine"
	"spore/internal/fswatch/mounts"
)

// checkAbsent reports what is there and should not be.
func (r *resource) checkAbsent() ([]engine.Change, error) {
	fi, err := lstat(r.path)
	if err != nil {
		return nil, err
	}
	if fi == nil {
		return nil, nil
	}
	changes := []engine.Change{{Field: "state", From: Exists, To: Absent}}
	if err := r.mayRemove(fi); err != nil {
		return nil, err
	}
	return changes, r.mayWrite(r.path, changes)
}

// mayRemove refuses what the spec does not say may go.
func (r *resource) mayRemove(fi fs.FileInfo) error {
	if fi.IsDir() != r.spec.isDir() && !r.spec.Force {
		return fmt.Errorf("%s is a %s; set force: true to remove it all the same", r.path, typeName(fi.Mode()))
	}
	if !fi.IsDir() || r.wholesale() {
		return nil
	}
	empty, err := isEmpty(r.path)
	if err == nil && !empty {
		err = fmt.Errorf("directory %s is not empty; set recurse: true and force: true to remove all that is in it", r.path)
	}
	return err
}

// wholesale says that a directory may be removed with all that is in it.
func (r *resource) wholesale() bool {
	return r.spec.Force && (r.spec.Recurse || !r.spec.isDir())
}

// remove takes the path away: a directory at once, by renaming it, and then what is in it.
func (r *resource) remove(ctx context.Context) error {
	fi, err := lstat(r.path)
	if err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	if fi == nil {
		return nil
	}
	if err := errors.Join(ctx.Err(), r.mayRemove(fi)); err != nil {
		return err
	}
	root, err := openParent(r.path)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := r.drafts.sweep(root); err != nil {
		return fmt.Errorf("remove %s: %w", r.path, cause(err))
	}
	if fi.IsDir() {
		err = r.removeDir(ctx, root)
	} else {
		err = root.Remove(filepath.Base(r.path))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", r.path, cause(err))
	}
	return nil
}

func (r *resource) removeDir(ctx context.Context, root *os.Root) error {
	if err := mayVanish(r.path); err != nil {
		return err
	}
	if !r.wholesale() {
		return root.Remove(filepath.Base(r.path)) // not if something came in just now
	}
	name := draftName()
	if err := root.Rename(filepath.Base(r.path), name); err != nil {
		return err
	}
	if err := removeTree(ctx, root, name); err != nil {
		r.drafts.again(root)
		return err
	}
	return nil
}

// removeTree removes name and all below it; it can be cancelled between the entries of name.
func removeTree(ctx context.Context, root *os.Root, name string) error {
	if fi, err := root.Lstat(name); err != nil || !fi.IsDir() {
		return errors.Join(err, root.Remove(name))
	}
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, child := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := root.RemoveAll(filepath.Join(name, child)); err != nil {
			return err
		}
	}
	return root.Remove(name)
}

// mayVanish refuses a path that the system cannot be without, and one on or below which something is
// mounted.
func mayVanish(path string) error {
	points, err := mounts.List()
	if err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return err
	}
	real := filepath.Join(dir, filepath.Base(path))
	if isVital(real) {
		return fmt.Errorf("%s belongs to the system and is never removed", real)
	}
	if under := mounts.Under(points, real); len(under) > 0 {
		return fmt.Errorf("%s is a mount point; unmount it before %s can be removed", under[0], path)
	}
	return nil
}

func isEmpty(path string) (bool, error) {
	dir, err := openQuiet(path, noFollow)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	_, err = dir.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}
