package remote

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/pkg/sftp"
	"golang.org/x/sync/errgroup"
)

const filesAtOnce = 16

// copyFiles copies files into the run directory, each under a name of its own and then renamed,
// so that a reader sees the old content or the new.
func (s *Session) copyFiles(ctx context.Context, h *host, run string, files []File) error {
	if len(files) == 0 {
		return nil
	}
	client, release, err := h.sftp(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := makeDirs(client, run, files); err != nil {
		return err
	}
	g, copying := errgroup.WithContext(ctx)
	g.SetLimit(filesAtOnce)
	for _, f := range files {
		if !f.Mode.IsDir() {
			g.Go(func() error { return s.copyFile(copying, client, run, f) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return closeDirs(client, run, files)
}

func (s *Session) copyFile(ctx context.Context, c *sftp.Client, run string, f File) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	name := path.Join(run, f.Name)
	partial := path.Join(path.Dir(name), ".part-"+rand.Text())
	if err := s.put(ctx, c, partial, f); err != nil {
		return fmt.Errorf("copy %s: %w", f.Name, err)
	}
	if err := c.PosixRename(partial, name); err != nil {
		c.Remove(partial)
		return fmt.Errorf("rename %s to %s: %w", partial, name, err)
	}
	return nil
}

// put makes f at a path where nothing is.
func (s *Session) put(ctx context.Context, c *sftp.Client, name string, f File) error {
	if f.Mode.Type() == fs.ModeSymlink {
		return diskFull(c, name, c.Symlink(f.Target, name))
	}
	src, err := f.Open()
	if err != nil {
		return err
	}
	defer src.Close()
	return s.write(ctx, c, name, f.mode(), f.Size, src)
}

// makeDirs makes the directories that files are or lie in, open to their user alone, each level
// at once.
func makeDirs(c *sftp.Client, run string, files []File) error {
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
	for _, level := range levels(dirs) {
		if err := all(level, func(dir string) error { return makeDir(c, path.Join(run, dir)) }); err != nil {
			return err
		}
	}
	return nil
}

func makeDir(c *sftp.Client, dir string) error {
	err := c.Mkdir(dir)
	if err == nil {
		return c.Chmod(dir, 0o700)
	}
	if info, statErr := c.Lstat(dir); statErr == nil && info.IsDir() {
		return nil
	}
	return diskFull(c, dir, fmt.Errorf("make directory %s: %w", dir, err))
}

// closeDirs gives the directories among files their permissions, which may forbid to write to them.
func closeDirs(c *sftp.Client, run string, files []File) error {
	modes := map[string]fs.FileMode{}
	for _, f := range files {
		if f.Mode.IsDir() {
			modes[f.Name] = f.mode()
		}
	}
	for _, level := range slices.Backward(levels(slices.Collect(maps.Keys(modes)))) {
		err := all(level, func(dir string) error { return c.Chmod(path.Join(run, dir), modes[dir]) })
		if err != nil {
			return err
		}
	}
	return nil
}

// levels parts names by how deep they lie, the highest first.
func levels(names []string) [][]string {
	var parts [][]string
	for _, name := range names {
		depth := strings.Count(name, "/")
		for len(parts) <= depth {
			parts = append(parts, nil)
		}
		parts[depth] = append(parts[depth], name)
	}
	return parts
}

// all calls f for every name, a few at a time, and returns the first error.
func all(names []string, f func(string) error) error {
	var g errgroup.Group
	g.SetLimit(filesAtOnce)
	for _, name := range names {
		g.Go(func() error { return f(name) })
	}
	return g.Wait()
}

// Push copies files into the run directory of the living agent; each is replaced at once. While
// the connection is down Push waits for the next one, as long as ctx lets it.
func (s *Session) Push(ctx context.Context, files ...File) error {
	for _, f := range files {
		if err := f.check(); err != nil {
			return err
		}
	}
	err := s.onLink(ctx, func(ctx context.Context, l *link) error { return s.copyFiles(ctx, l.host, l.place.run, files) })
	if err == nil {
		s.remember(files)
	}
	return atStep(StepFiles, err)
}

// Remove removes files from the run directory of the living agent, as Push copies them, and
// directories in which nothing is left then. What is not there is no error.
func (s *Session) Remove(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := (File{Name: name}).check(); err != nil {
			return err
		}
	}
	err := s.onLink(ctx, func(ctx context.Context, l *link) error {
		client, release, err := l.host.sftp(ctx)
		if err != nil {
			return err
		}
		defer release()
		for _, level := range slices.Backward(levels(names)) {
			err := all(level, func(name string) error {
				err := client.Remove(path.Join(l.place.run, name))
				if errors.Is(err, os.ErrNotExist) {
					return nil
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.forget(names)
	}
	return atStep(StepFiles, err)
}

// remember and forget keep the files that a run directory must hold if it has to be made anew.
func (s *Session) remember(files []File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range files {
		i := slices.IndexFunc(s.files, func(g File) bool { return g.Name == f.Name })
		if i < 0 {
			s.files = append(s.files, f)
		} else {
			s.files[i] = f
		}
	}
}

func (s *Session) forget(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = slices.DeleteFunc(s.files, func(f File) bool { return slices.Contains(names, f.Name) })
}

func (s *Session) wanted() []File {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.files)
}
