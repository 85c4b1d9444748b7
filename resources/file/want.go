package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"spore/engine"
)

// A want is one file, directory or symlink as it is declared.
type want struct {
	path   string      // absolute and clean
	label  string      // its name within the tree; empty for the resource's own path
	typ    fs.FileMode // 0, fs.ModeDir or fs.ModeSymlink
	body   body        // of a file; nil leaves the content alone
	target string      // of a symlink
	owner  principal
	group  principal
	mode   *fs.FileMode // nil leaves the permissions alone
	fresh  fs.FileMode  // the permissions, less the umask, of a new one where mode is nil
	force  bool
}

// lstat returns nil where nothing is, be it that a parent is missing or not a directory.
func lstat(path string) (fs.FileInfo, error) {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	return fi, err
}

func (w want) change(field, from, to string) engine.Change {
	if w.label != "" {
		from = w.label + " " + from
	}
	return engine.Change{Field: field, From: from, To: to}
}

// check reports what differs from w.
func (w want) check(ctx context.Context) ([]engine.Change, error) {
	fi, err := lstat(w.path)
	if err != nil {
		return nil, err
	}
	if fi == nil {
		return w.missing(ctx)
	}
	if fi.Mode().Type() != w.typ {
		return []engine.Change{w.change("state", typeName(fi.Mode()), typeName(w.typ))}, w.refuse(fi)
	}
	var changes []engine.Change
	switch {
	case w.typ == fs.ModeSymlink:
		target, err := os.Readlink(w.path)
		if err != nil {
			return nil, err
		}
		if target != w.target {
			changes = append(changes, w.change("content", "link to "+target, "link to "+w.target))
		}
	case w.body != nil:
		c, err := w.checkContent(ctx, fi)
		if err != nil {
			if now, _ := lstat(w.path); now == nil { // it went away just now
				return w.missing(ctx)
			}
			return nil, err
		}
		changes = append(changes, c...)
	}
	return append(changes, w.checkAttributes(fi)...), nil
}

// missing reports that nothing is there.
func (w want) missing(ctx context.Context) ([]engine.Change, error) {
	c := w.change("state", Absent, Exists)
	var err error
	c.Diff, _, err = w.diff(ctx, nil)
	return []engine.Change{c}, err
}

// refuse is the error of finding another type, unless force is set and can be followed.
func (w want) refuse(fi fs.FileInfo) error {
	if fi.Mode().Type() == w.typ {
		return nil
	}
	if w.force {
		if fi.IsDir() {
			return mayVanish(w.path)
		}
		return nil
	}
	return fmt.Errorf("%s is a %s, not a %s; set force: true to replace it", w.path, typeName(fi.Mode()), typeName(w.typ))
}

// apply makes w so.
func (w want) apply(ctx context.Context, drafts *drafts) error {
	root, err := openParent(w.path)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := drafts.sweep(root); err != nil {
		return err
	}
	name := filepath.Base(w.path)
	fi, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return w.write(ctx, root, nil, drafts)
	} else if err != nil {
		return fmt.Errorf("look at %s: %w", w.path, cause(err))
	}
	if err := w.refuse(fi); err != nil {
		return err
	}
	same, err := w.sameContent(ctx, root, fi)
	if err != nil {
		return err
	}
	if same {
		return w.setAttributes(root, fi)
	}
	return w.write(ctx, root, fi, drafts)
}

// sameContent reports whether nothing but the attributes of fi may differ.
func (w want) sameContent(ctx context.Context, root *os.Root, fi fs.FileInfo) (bool, error) {
	switch {
	case fi.Mode().Type() != w.typ:
		return false, nil
	case w.typ == fs.ModeSymlink:
		target, err := root.Readlink(fi.Name())
		return target == w.target, err
	case w.body == nil:
		return true, nil
	case fi.Size() != w.body.size():
		return false, nil
	}
	_, same, err := w.compare(ctx)
	return same, err
}

// openParent opens the directory that path is in.
func openParent(path string) (*os.Root, error) {
	dir := filepath.Dir(path)
	root, err := os.OpenRoot(dir)
	if err == nil {
		return root, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("parent directory %s does not exist; declare a file resource %s/ that comes before, or make it", dir, dir)
	}
	if fi, statErr := os.Stat(dir); errors.Is(err, syscall.ENOTDIR) || statErr == nil && !fi.IsDir() {
		return nil, fmt.Errorf("parent directory %s is not a directory", dir)
	}
	return nil, err
}

func typeName(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "file"
	case fs.ModeDir:
		return "directory"
	case fs.ModeSymlink:
		return "symbolic link"
	}
	return "special file"
}
