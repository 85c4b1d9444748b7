package remote

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/pkg/sftp"
)

const tightDisk = 1 << 20 // bytes: a file system with less left is called full

// install sees to it that the verified executable lies at p.path.
func (s *Session) install(ctx context.Context, h *host, p *place, v verdict, why string) error {
	have := v == cacheHit
	if v == cacheUnsure {
		sum, err := s.readBack(ctx, h, p.path)
		if err != nil {
			return err
		}
		have = sum == p.binary.SHA256
		if !have {
			v, why = cachePoisoned, "has another SHA-256"
		}
	}
	if v == cachePoisoned {
		s.warn("poisoned cache replaced: %s %s", p.path, why)
	}
	s.event(Probed{OS: p.os, Arch: p.arch, Run: p.run, Cached: have, Bytes: p.binary.Size})
	if have {
		return nil
	}
	return s.upload(ctx, h, p)
}

// upload copies the executable under a name of its own, verifies it there, and renames it.
func (s *Session) upload(ctx context.Context, h *host, p *place) error {
	if err := s.send(ctx, h, p); err != nil {
		return err
	}
	sum, err := s.sum(ctx, h, p.partial())
	if err != nil {
		return err
	}
	client, release, err := h.sftp(ctx)
	if err != nil {
		return err
	}
	defer release()
	if sum != p.binary.SHA256 {
		client.Remove(p.partial())
		return fmt.Errorf("verify %s: its SHA-256 is %s, want %s", p.partial(), Clean(sum), p.binary.SHA256)
	}
	if err := client.PosixRename(p.partial(), p.path); err != nil {
		return fmt.Errorf("rename %s to %s: %w", p.partial(), p.path, err)
	}
	s.event(Copied{Bytes: p.binary.Size})
	return nil
}

// send copies the executable to its temporary name.
func (s *Session) send(ctx context.Context, h *host, p *place) error {
	client, release, err := h.sftp(ctx)
	if err != nil {
		return err
	}
	defer release()
	src, err := os.Open(p.binary.Path)
	if err != nil {
		return err
	}
	defer src.Close()
	write := func() error {
		return s.write(ctx, client, p.partial(), 0o700, p.binary.Size, &progress{r: src, s: s, total: p.binary.Size})
	}
	err = write()
	if errors.Is(err, os.ErrNotExist) { // another session that ended has just removed the directory, empty as it was
		dir := path.Dir(p.partial())
		if err := cmp.Or(makeDir(client, path.Dir(dir)), makeDir(client, dir)); err != nil {
			return err
		}
		err = write()
	}
	return err
}

// write makes a file of size bytes on the host, or none at all.
func (s *Session) write(ctx context.Context, c *sftp.Client, name string, mode fs.FileMode, size int64, r io.Reader) error {
	f, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return diskFull(c, name, fmt.Errorf("create %s: %w", name, err))
	}
	moded := make(chan error, 1)
	go func() { moded <- c.Chmod(name, mode) }() // within the same round trip as the first data
	n, err := f.ReadFromWithConcurrency(&cancelled{ctx, r}, writesInFlight)
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

// sum has the host tell the SHA-256 of a file, or computes it here of what the host gives back.
func (s *Session) sum(ctx context.Context, h *host, name string) (string, error) {
	sc, err := h.script(ctx, sumScript+hashScript, "main", variable{"file", name})
	if err != nil {
		return "", err
	}
	_, sum, err := sc.next()
	sc.finish()
	if err != nil || sum != "" {
		return sum, err
	}
	return s.readBack(ctx, h, name)
}

const sumScript = `
PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
main() { printf '\n%s sum %s\n' "$nonce" "$(hash_of "$file")"; }
`

// readBack computes the SHA-256 of a file of the host here, for hosts that cannot.
func (s *Session) readBack(ctx context.Context, h *host, name string) (string, error) {
	client, release, err := h.sftp(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	f, err := client.Open(name)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := f.WriteTo(&cancelledWriter{ctx, sum}); err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// cancelled makes a copy end when ctx does.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelled) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

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

// progress reports how much of the executable has been read, once for every hundredth.
type progress struct {
	r           io.Reader
	s           *Session
	done, total int64
	told        int64
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.done += int64(n)
	if p.done-p.told > p.total/100 || (n > 0 && p.done == p.total) {
		p.told = p.done
		p.s.event(Copying{Done: p.done, Total: p.total})
	}
	return n, err
}
