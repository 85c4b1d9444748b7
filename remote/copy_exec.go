package remote

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
)

//go:embed files.sh
var filesScript string

// An execCopier has the host's shell do the work, one session for each file and for each list of
// directories: for hosts without SFTP, and where files are not to be made by who logs in.
type execCopier struct {
	s *Session
	h *host
}

func (c execCopier) makeDirs(ctx context.Context, dirs []string) error {
	if len(dirs) == 0 {
		return nil
	}
	return c.run(ctx, "make_dirs", dirs...)
}

func (c execCopier) setModes(ctx context.Context, dirs []string, modes map[string]fs.FileMode) error {
	var args []string
	for _, dir := range dirs {
		args = append(args, strconv.FormatInt(int64(modes[dir].Perm()), 8), dir)
	}
	return c.run(ctx, "set_modes", args...)
}

func (c execCopier) remove(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	return c.run(ctx, "remove", names...)
}

func (c execCopier) put(ctx context.Context, part, name string, f File) error {
	var err error
	if f.Mode.Type() == fs.ModeSymlink {
		err = c.run(ctx, "link", f.Target, part, name)
	} else {
		_, err = c.s.take(ctx, c.h, cargo{
			name: name, part: part, mode: f.mode(), size: f.Size,
			open: func(int, bool) (io.ReadCloser, error) { return f.Open() },
		})
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", f.Name, err)
	}
	return nil
}

// read does not see a file that the host cannot read to its end as whole: the end is marked.
func (c execCopier) read(ctx context.Context, name string, w io.Writer) error {
	sc, err := c.h.scriptWithin(ctx, 0, filesScript, "show", variable{"file", name})
	if err != nil {
		return err
	}
	defer sc.finish()
	key, value, err := sc.next()
	if err != nil {
		return err
	}
	size, err := strconv.ParseInt(value, 10, 64)
	if key != "size" || err != nil {
		return fmt.Errorf("read %s: %s", name, Clean(value))
	}
	sc.allow(size)
	if n, err := io.CopyN(w, sc.out, size); err != nil {
		return fmt.Errorf("read %s: %d of %d bytes: %w", name, n, size, err)
	}
	return nil
}

// run runs one function of the script.
func (c execCopier) run(ctx context.Context, what string, args ...string) error {
	words, err := Quote(args...)
	if err != nil {
		return err
	}
	sc, err := c.h.script(ctx, filesScript, "main "+what+" "+words)
	if err != nil {
		return err
	}
	defer sc.finish()
	key, value, err := sc.next()
	switch {
	case err != nil:
		return err
	case key != "done":
		return errors.New(Clean(value))
	}
	return nil
}
