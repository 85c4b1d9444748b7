package remote

import (
	"context"
	"slices"
)

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
		c, release, err := s.copier(ctx, l.host)
		if err != nil {
			return err
		}
		defer release()
		return c.remove(ctx, below(l.place.run, deepestFirst(names)))
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
