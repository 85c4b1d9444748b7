package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// wants lists what the spec declares, parents first.
func (r *resource) wants(ctx context.Context) ([]want, error) {
	w := want{
		path: r.path, owner: findOwner(r.spec.Owner), group: findGroup(r.spec.Group),
		force: r.spec.Force, fresh: 0o644,
	}
	if r.spec.isDir() {
		w.typ, w.fresh = fs.ModeDir, 0o755
	}
	if r.spec.Mode != "" {
		mode, err := parseMode(r.spec.Mode)
		if err != nil {
			return nil, err
		}
		w.mode = &mode
	}
	if r.spec.Content != nil {
		w.body = text(*r.spec.Content)
	}
	if r.spec.SourcePath == "" {
		return []want{w}, nil
	}
	source := filepath.Clean(r.spec.SourcePath)
	fi, err := os.Stat(source)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	w.fresh = fi.Mode().Perm()
	switch {
	case fi.IsDir() != r.spec.isDir():
		return nil, fmt.Errorf("source %s is a %s, but %s is declared as a %s", source, typeName(fi.Mode()), r.spec.path(), typeName(w.typ))
	case fi.IsDir():
		return appendTree(ctx, []want{w}, source, w)
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("source %s is a %s, not a file", source, typeName(fi.Mode()))
	}
	w.body = copied{source, fi.Size()}
	return []want{w}, nil
}

// appendTree appends what is in the directory source, to be in dir.
func appendTree(ctx context.Context, wants []want, source string, dir want) ([]want, error) {
	entries, err := list(source)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		from := filepath.Join(source, e.Name())
		fi, err := os.Lstat(from)
		if err != nil {
			return nil, fmt.Errorf("source: %w", err)
		}
		mode := fi.Mode().Perm()
		w := dir
		w.path, w.label = filepath.Join(dir.path, e.Name()), filepath.Join(dir.label, e.Name())
		w.typ, w.mode, w.body, w.target = fi.Mode().Type(), &mode, nil, ""
		switch w.typ {
		case 0:
			w.body = copied{from, fi.Size()}
		case fs.ModeDir:
		case fs.ModeSymlink:
			if w.target, err = os.Readlink(from); err != nil {
				return nil, fmt.Errorf("source: %w", err)
			}
		default:
			return nil, fmt.Errorf("source: %s is a %s, which cannot be copied", from, typeName(w.typ))
		}
		wants = append(wants, w)
		if w.typ == fs.ModeDir {
			if wants, err = appendTree(ctx, wants, from, w); err != nil {
				return nil, err
			}
		}
	}
	return wants, nil
}

// list reads a directory in the order of names.
func list(path string) ([]fs.DirEntry, error) {
	dir, err := openQuiet(path, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, err
}

// extra lists what is in the directory and neither wanted nor claimed by another resource, without
// what is below it.
func (r *resource) extra(ctx context.Context, wants []want) ([]string, error) {
	if fi, err := lstat(r.path); err != nil || fi == nil || !fi.IsDir() {
		return nil, err
	}
	known := r.claims.known()
	for _, w := range wants {
		known[w.path] = known[w.path] || false
	}
	return extraIn(ctx, nil, r.path, known)
}

func extraIn(ctx context.Context, extra []string, dir string, known map[string]bool) ([]string, error) {
	entries, err := list(dir)
	if err != nil {
		return nil, fmt.Errorf("purge: %w", err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		path := filepath.Join(dir, e.Name())
		tree, ours := known[path]
		switch {
		case isDraft(e.Name()): // a sweep's affair
		case !ours:
			extra = append(extra, path)
		case e.IsDir() && !tree:
			if extra, err = extraIn(ctx, extra, path, known); err != nil {
				return nil, err
			}
		}
	}
	return extra, nil
}

// purge removes what extra lists.
func (r *resource) purge(ctx context.Context, wants []want) error {
	extra, err := r.extra(ctx, wants)
	if err != nil || len(extra) == 0 {
		return err
	}
	root, err := os.OpenRoot(r.path)
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	defer root.Close()
	for _, path := range extra {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := mayVanish(path); err != nil {
			return fmt.Errorf("purge: %w", err)
		}
		if err := root.RemoveAll(r.relative(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("purge %s: %w", path, cause(err))
		}
	}
	return nil
}
