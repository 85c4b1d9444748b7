package remote

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

const filesAtOnce = 16

// A copier puts files on a host: over SFTP, or where there is none by the host's shell.
type copier interface {
	// makeDirs makes directories, parents first, open to their user alone; those that are there stay.
	makeDirs(ctx context.Context, dirs []string) error
	// put makes a file or link, first as part, in place of what is there: a reader sees the old or the new.
	put(ctx context.Context, part, name string, f File) error
	// setModes gives directories their permissions, in order.
	setModes(ctx context.Context, dirs []string, modes map[string]fs.FileMode) error
	// remove removes files and empty directories, in order; those that are not there are no error.
	remove(ctx context.Context, names []string) error
	// read writes what is in a file to w.
	read(ctx context.Context, name string, w io.Writer) error
}

// copier returns what puts files on the host; release it after use.
func (s *Session) copier(ctx context.Context, h *host) (c copier, release func(), err error) {
	if h.foreign() { // SFTP's files would be of who logs in
		return execCopier{s, h}, func() {}, nil
	}
	client, release, err := h.sftp(ctx)
	if errors.Is(err, errNoSFTP) {
		return execCopier{s, h}, func() {}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return sftpCopier{s, client}, release, nil
}

// copyFiles copies files into the run directory.
func (s *Session) copyFiles(ctx context.Context, h *host, run string, files []File) error {
	if len(files) == 0 {
		return nil
	}
	c, release, err := s.copier(ctx, h)
	if err != nil {
		return err
	}
	defer release()
	if err := c.makeDirs(ctx, below(run, parents(files))); err != nil {
		return err
	}
	g, copying := errgroup.WithContext(ctx)
	g.SetLimit(filesAtOnce)
	for _, f := range files {
		if !f.Mode.IsDir() {
			// Aside, for who follows the directory of the file would take a part for one of its own.
			part := path.Join(run, ".part-"+rand.Text())
			g.Go(func() error { return c.put(copying, part, path.Join(run, f.Name), f) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	modes := map[string]fs.FileMode{} // last, for they may forbid to write to the directories
	for _, f := range files {
		if f.Mode.IsDir() {
			modes[path.Join(run, f.Name)] = f.mode()
		}
	}
	if len(modes) == 0 {
		return nil
	}
	return c.setModes(ctx, deepestFirst(slices.Collect(maps.Keys(modes))), modes)
}

// parents lists the directories that files are or lie in, the highest first.
func parents(files []File) []string {
	var dirs []string
	seen := map[string]bool{".": true}
	for _, f := range files {
		dir := path.Dir(f.Name)
		if f.Mode.IsDir() {
			dir = f.Name
		}
		for ; !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	dirs = deepestFirst(dirs)
	slices.Reverse(dirs)
	return dirs
}

func below(run string, names []string) []string {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = path.Join(run, name)
	}
	return paths
}

func deepestFirst(names []string) []string {
	sorted := slices.Clone(names)
	slices.SortFunc(sorted, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	return sorted
}

// levels parts names, which are sorted by how deep they lie, into those of one depth each.
func levels(names []string) (parts [][]string) {
	for len(names) > 0 {
		n := 1
		for n < len(names) && strings.Count(names[n], "/") == strings.Count(names[0], "/") {
			n++
		}
		parts, names = append(parts, names[:n]), names[n:]
	}
	return parts
}

// all calls f for every name, level by level, a few at a time, and returns the first error.
func all(names []string, f func(string) error) error {
	for _, level := range levels(names) {
		var g errgroup.Group
		g.SetLimit(filesAtOnce)
		for _, name := range level {
			g.Go(func() error { return f(name) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// absent reports whether err, if it is one, says that something is not there.
func absent(err error) bool { return errors.Is(err, os.ErrNotExist) }
