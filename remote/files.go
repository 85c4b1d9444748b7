package remote

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(filesAtOnce)
	for _, f := range files {
		g.Go(func() error { return s.copyFile(ctx, client, run, f) })
	}
	return g.Wait()
}

func (s *Session) copyFile(ctx context.Context, c *sftp.Client, run string, f File) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	src, err := f.Open()
	if err != nil {
		return fmt.Errorf("open %s: %w", f.Name, err)
	}
	defer src.Close()
	name := path.Join(run, f.Name)
	partial := path.Join(path.Dir(name), ".part-"+rand.Text())
	if err := s.write(ctx, c, partial, f.mode(), f.Size, src); err != nil {
		return fmt.Errorf("copy %s: %w", f.Name, err)
	}
	if err := c.PosixRename(partial, name); err != nil {
		c.Remove(partial)
		return fmt.Errorf("rename %s to %s: %w", partial, name, err)
	}
	return nil
}

// makeDirs makes the directories that files lie in, each level at once.
func makeDirs(c *sftp.Client, run string, files []File) error {
	levels := map[int][]string{}
	seen := map[string]bool{".": true}
	for _, f := range files {
		for dir := path.Dir(f.Name); !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			depth := strings.Count(dir, "/")
			levels[depth] = append(levels[depth], dir)
		}
	}
	for depth := range len(levels) {
		var g errgroup.Group
		for _, dir := range levels[depth] {
			g.Go(func() error { return makeDir(c, path.Join(run, dir)) })
		}
		if err := g.Wait(); err != nil {
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

// Remove removes files from the run directory of the living agent, as Push copies them. A file
// that is not there is no error.
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
		var g errgroup.Group
		for _, name := range names {
			g.Go(func() error {
				err := client.Remove(path.Join(l.place.run, name))
				if errors.Is(err, os.ErrNotExist) {
					return nil
				}
				return err
			})
		}
		return g.Wait()
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
