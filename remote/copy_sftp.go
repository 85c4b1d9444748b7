package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/pkg/sftp"
)

// An sftpCopier copies over SFTP: many small files within a few round trips.
type sftpCopier struct {
	s *Session
	c *sftp.Client
}

func (c sftpCopier) makeDirs(_ context.Context, dirs []string) error {
	return all(dirs, c.makeDir)
}

func (c sftpCopier) makeDir(dir string) error {
	err := c.c.Mkdir(dir)
	if err == nil {
		return c.c.Chmod(dir, 0o700)
	}
	if info, statErr := c.c.Lstat(dir); statErr == nil && info.IsDir() {
		return nil
	}
	return diskFull(c.c, dir, fmt.Errorf("make directory %s: %w", dir, err))
}

func (c sftpCopier) setModes(_ context.Context, dirs []string, modes map[string]fs.FileMode) error {
	return all(dirs, func(dir string) error { return c.c.Chmod(dir, modes[dir]) })
}

func (c sftpCopier) put(ctx context.Context, part, name string, f File) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := c.make(ctx, part, f); err != nil {
		return fmt.Errorf("copy %s: %w", f.Name, err)
	}
	if err := c.c.PosixRename(part, name); err != nil {
		c.c.Remove(part)
		return fmt.Errorf("rename %s to %s: %w", part, name, err)
	}
	return nil
}

// make makes f at a path where nothing is.
func (c sftpCopier) make(ctx context.Context, name string, f File) error {
	if f.Mode.Type() == fs.ModeSymlink {
		return diskFull(c.c, name, c.c.Symlink(f.Target, name))
	}
	src, err := f.Open()
	if err != nil {
		return err
	}
	defer src.Close()
	return c.s.write(ctx, c.c, name, f.mode(), f.Size, src)
}

// write makes a file of size bytes on the host, or none at all.
func (s *Session) write(ctx context.Context, c *sftp.Client, name string, mode fs.FileMode, size int64, r io.Reader) error {
	f, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return diskFull(c, name, fmt.Errorf("create %s: %w", name, err))
	}
	moded := make(chan error, 1)
	go func() { moded <- c.Chmod(name, mode) }() // within the same round trip as the first data
	n, err := f.ReadFromWithConcurrency(&limited{ctx, r, s.o.Bandwidth}, writesInFlight)
	s.sent.Add(n)
	err = cmp.Or(err, <-moded, f.Close())
	if err == nil && n != size {
		err = fmt.Errorf("its source gave %d bytes, not %d", n, size)
	}
	if err != nil {
		err = diskFull(c, name, fmt.Errorf("write %s: %w", name, err))
		c.Remove(name)
	}
	return err
}

func (c sftpCopier) remove(_ context.Context, names []string) error {
	return all(names, func(name string) error {
		if err := c.c.Remove(name); !absent(err) {
			return err
		}
		return nil
	})
}

func (c sftpCopier) read(ctx context.Context, name string, w io.Writer) error {
	f, err := c.c.Open(name)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	if _, err := f.WriteTo(&cancelledWriter{ctx, w}); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// cancelledWriter makes a copy end when ctx does.
type cancelledWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c *cancelledWriter) Write(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.w.Write(p)
}

const tightDisk = 1 << 20 // bytes: a file system with less left is called full

// diskFull turns SFTP's bare "failure" into what it most often means, if it does mean that.
func diskFull(c *sftp.Client, name string, err error) error {
	var status *sftp.StatusError
	if !errors.As(err, &status) || status.FxCode() != sftp.ErrSSHFxFailure {
		return err
	}
	vfs, statErr := c.StatVFS(path.Dir(name))
	if statErr != nil {
		return err
	}
	free := vfs.Frsize * vfs.Bavail
	if free >= tightDisk && (vfs.Files == 0 || vfs.Favail > 0) {
		return err
	}
	return &DiskFullError{Path: name, Free: free, Err: err}
}
