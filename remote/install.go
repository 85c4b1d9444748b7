package remote

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/crypto/blake2b"
)

// install sees to it that the verified executable lies at p.path.
func (s *Session) install(ctx context.Context, h *host, p *place, v verdict, why string) error {
	have := v == cacheHit
	if v == cacheUnsure {
		sum, err := s.readBack(ctx, h, p.path, p.binary.Size)
		if err != nil {
			return err
		}
		have = sum == p.binary.BLAKE2b
		if !have {
			v, why = cachePoisoned, "has another digest"
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

// upload streams the executable to the host, where it is verified and then renamed.
func (s *Session) upload(ctx context.Context, h *host, p *place) error {
	begin := time.Now()
	c := s.cargo(p)
	sent, err := s.take(ctx, h, c)
	for tries := 1; tries < 3 && (errors.Is(err, errSlow) || errors.Is(err, errSpoilt)); tries++ {
		// Slow: the rest goes compressed. Spoilt, as what an earlier attempt has left may do to it: all again.
		c.zip, c.hurry = c.zip || errors.Is(err, errSlow), false
		var more int64
		more, err = s.take(ctx, h, c)
		sent += more
	}
	if errors.Is(err, errUnsure) {
		err = s.verify(ctx, h, p)
	}
	if err != nil {
		return err
	}
	s.event(Copied{Bytes: p.binary.Size, Sent: sent, Took: time.Since(begin)})
	return nil
}

// cargo is the executable as the host takes it in.
func (s *Session) cargo(p *place) cargo {
	tell := s.progress(p.binary.Size)
	return cargo{
		name: p.path, part: p.partial(), mode: 0o700, size: p.binary.Size, sum: p.sum,
		resume: true, hurry: p.binary.Parcel != nil,
		open: func(block int, zipped bool) (io.ReadCloser, error) {
			if zipped && p.binary.Parcel != nil {
				return io.NopCloser(p.binary.Parcel.from(block, tell)), nil
			}
			f, err := os.Open(p.binary.Path)
			if err != nil {
				return nil, err
			}
			at := int64(block) * blockSize
			if _, err := f.Seek(at, io.SeekStart); err != nil {
				f.Close()
				return nil, err
			}
			return &counted{f, at, tell}, nil
		},
	}
}

// progress returns a function that reports how much of the executable is on its way, once for
// every hundredth.
func (s *Session) progress(total int64) func(done int64) {
	told := int64(0)
	return func(done int64) {
		if done-told > total/100 || done == total && told < total {
			told = done
			s.event(Copying{Done: done, Total: total})
		}
	}
}

// counted tells how far a file has been read.
type counted struct {
	*os.File
	done int64
	tell func(done int64)
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.File.Read(b)
	c.done += int64(n)
	c.tell(c.done)
	return n, err
}

// verify does what take leaves undone on hosts that have no tool for it.
func (s *Session) verify(ctx context.Context, h *host, p *place) error {
	sum, err := s.readBack(ctx, h, p.partial(), p.binary.Size)
	if err != nil {
		return err
	}
	shell := execCopier{s, h}
	if sum != p.binary.BLAKE2b {
		err := fmt.Errorf("verify %s: its digest is %s, want %s", p.partial(), sum, p.binary.BLAKE2b)
		return errors.Join(err, shell.remove(ctx, []string{p.partial()}))
	}
	return shell.run(ctx, "place", "700", p.partial(), p.path)
}

// readBack computes the BLAKE2b of a file of the host here, for hosts that cannot. A file that is
// larger than size is not read to its end, which it may not have, and has none that anybody wants.
func (s *Session) readBack(ctx context.Context, h *host, name string, size int64) (string, error) {
	c, release, err := s.copier(ctx, h)
	if err != nil {
		return "", err
	}
	defer release()
	sum, err := blake2b.New512(nil)
	if err != nil {
		return "", err
	}
	err = c.read(ctx, name, &atMost{sum, size})
	if errors.Is(err, errTooLarge) {
		return "too large", nil
	}
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

var errTooLarge = errors.New("there is more than there should be")

// atMost takes left bytes and no more.
type atMost struct {
	w    io.Writer
	left int64
}

func (a *atMost) Write(b []byte) (int, error) {
	if a.left -= int64(len(b)); a.left < 0 {
		return 0, errTooLarge
	}
	return a.w.Write(b)
}
