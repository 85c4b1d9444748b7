package remote

import (
	"cmp"
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

//go:embed take.sh
var takeScript string

// A cargo is a file that a host's shell takes in.
type cargo struct {
	name   string // where it goes
	part   string // where it is until it is whole and verified
	mode   fs.FileMode
	size   int64
	sum    string // to be verified: SHA-256, or what the host can tell faster; "" for what need not be
	resume bool   // part outlives a connection that is lost, and is gone on with
	zip    bool   // let it come compressed, if the host can unpack it
	hurry  bool   // give up with errSlow where that would be faster
	// open returns the file from the nth block on, compressed or not.
	open func(block int, zipped bool) (io.ReadCloser, error)
}

var (
	errUnsure = errors.New("the host has no tool to compute a digest with")
	errSpoilt = errors.New("it did not arrive as it was sent")
	errSlow   = errors.New("the way to the host is slow")
)

// take streams c to the host's shell. errUnsure means that it lies at c.part and is to be verified
// from here; errSpoilt that what came was not c, and is gone. sent is how many bytes that took.
func (s *Session) take(ctx context.Context, h *host, c cargo) (sent int64, err error) {
	sc, err := h.scriptWithin(ctx, 0, takeScript+hashScript, "main", variable{"name", c.name}, variable{"part", c.part},
		variable{"mode", strconv.FormatInt(int64(c.mode.Perm()), 8)}, variable{"size", strconv.FormatInt(c.size, 10)},
		variable{"sum", c.sum}, variable{"resume", flag(c.resume)}, variable{"zip", flag(c.zip)},
		variable{"block", strconv.Itoa(blockSize)})
	if err != nil {
		return 0, err
	}
	key, value, err := sc.next()
	if err == nil && key != "ready" {
		err = c.judge(key, value)
	}
	if err != nil {
		sc.finish()
		return 0, err
	}
	streamed := make(chan error, 1)
	go func(ready string) {
		var err error
		sent, err = s.stream(ctx, sc.in, c, ready)
		sc.eof()
		streamed <- err
	}(value)
	key, value, err = sc.next()
	sc.finish() // which ends the stream as well
	if err := cmp.Or(<-streamed, err); err != nil && key != "failed" {
		return sent, err
	}
	return sent, c.judge(key, value)
}

// stream sends what the host still needs of c: ready is what the host said of it.
func (s *Session) stream(ctx context.Context, w io.Writer, c cargo, ready string) (int64, error) {
	blocks, can, _ := strings.Cut(ready, " ")
	at, err := strconv.Atoi(blocks)
	if err != nil || at < 0 || int64(at)*blockSize > c.size {
		at = 0 // the size that it ends up with will tell
	}
	src, err := c.open(at, c.zip && can == "1")
	if err != nil {
		return 0, err
	}
	defer src.Close()
	if c.hurry && can == "1" {
		w = &paced{w: w, begin: time.Now()}
	}
	n, err := io.Copy(w, &limited{ctx, src, s.o.Bandwidth})
	s.sent.Add(n)
	return n, err
}

// judge turns what the host said last into an error.
func (c cargo) judge(key, value string) error {
	switch key {
	case "done":
		return nil
	case "unsure":
		return errUnsure
	case "differs":
		return fmt.Errorf("verify %s: its digest is %s, want %s: %w", c.part, Clean(value), c.sum, errSpoilt)
	case "short":
		return fmt.Errorf("write %s: the host has %s bytes of it, want %d: %w", c.part, Clean(value), c.size, errSpoilt)
	case "failed":
		room, why, _ := strings.Cut(value, " ")
		err := fmt.Errorf("write %s: %s", c.part, Clean(why))
		if kb, e := strconv.ParseUint(room, 10, 53); e == nil && kb<<10 < uint64(max(c.size, tightDisk)) {
			return &DiskFullError{Path: c.part, Free: kb << 10, Err: err}
		}
		return err
	}
	return errors.New("the host left out what was asked for")
}

const (
	// slow is how many bytes a second make it worth the time of both processors to compress.
	slow = 6 << 20
	// inFlight is what sshd lets us send ahead: how fast it goes shows in what is beyond that.
	inFlight  = 2 << 20
	paceAfter = 300 * time.Millisecond
)

// paced is a writer that fails with errSlow when it turns out to be slow.
type paced struct {
	w     io.Writer
	begin time.Time
	sent  int64
}

func (p *paced) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.sent += int64(n)
	took := time.Since(p.begin)
	if err == nil && took > paceAfter && float64(p.sent-inFlight) < slow*took.Seconds() {
		err = errSlow
	}
	return n, err
}

// limited is a reader that ends with ctx and gives no more bytes than the bandwidth allows.
type limited struct {
	ctx       context.Context
	r         io.Reader
	bandwidth *rate.Limiter // nil is none
}

func (l *limited) Read(p []byte) (int, error) {
	if l.ctx.Err() != nil {
		return 0, context.Cause(l.ctx)
	}
	if l.bandwidth == nil {
		return l.r.Read(p)
	}
	n, err := l.r.Read(p[:min(len(p), l.bandwidth.Burst())])
	if n > 0 {
		if e := l.bandwidth.WaitN(l.ctx, n); e != nil {
			return n, cmp.Or(context.Cause(l.ctx), e)
		}
	}
	return n, err
}
