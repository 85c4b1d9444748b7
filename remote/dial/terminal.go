//go:build unix

package dial

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A Terminal asks on the terminal of the person who started the program, even where standard
// input and output lead elsewhere. ^C stays a signal while it asks.
type Terminal struct {
	in  *os.File
	out io.Writer

	mu      sync.Mutex    // one question at a time
	lines   chan answer   // what the reader has read
	want    chan struct{} // asks the reader for a line
	pending bool          // the reader is at work on one
}

type answer struct {
	text string
	err  error
}

// NewTerminal opens /dev/tty. It fails where there is none, as in a cron job.
func NewTerminal() (*Terminal, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	return NewTerminalOn(tty, tty), nil
}

// NewTerminalOn asks on out and reads from in. Close closes in.
func NewTerminalOn(in *os.File, out io.Writer) *Terminal {
	t := &Terminal{in: in, out: out, lines: make(chan answer, 1), want: make(chan struct{}, 1)}
	go t.read(bufio.NewReader(in))
	return t
}

// read reads a line each time one is wanted: a read of a terminal cannot be broken off, so one
// whose question was withdrawn waits on and serves the next.
func (t *Terminal) read(r *bufio.Reader) {
	for range t.want {
		text, err := r.ReadString('\n')
		t.lines <- answer{strings.TrimRight(text, "\r\n"), err}
	}
}

// Close closes the terminal. Nothing may be asked any more.
func (t *Terminal) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.want)
	return t.in.Close()
}

// Prompt implements Prompter. However it ends, the terminal shows typing again.
func (t *Terminal) Prompt(ctx context.Context, q Question) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return "", context.Cause(ctx)
	}
	restore, err := t.prepare(q.Echo)
	if err != nil {
		return "", fmt.Errorf("prepare terminal: %w", err)
	}
	defer restore()
	if _, err := fmt.Fprintf(t.out, "%s: %s: ", printable(q.Host), printable(q.Text)); err != nil {
		return "", fmt.Errorf("ask on terminal: %w", err)
	}
	a, err := t.line(ctx)
	if err != nil || !q.Echo {
		_, _ = fmt.Fprintln(t.out) // the newline typed was not shown
	}
	return a, err
}

func (t *Terminal) line(ctx context.Context) (string, error) {
	if !t.pending {
		t.pending = true
		t.want <- struct{}{}
	}
	select {
	case a := <-t.lines:
		t.pending = false
		if errors.Is(a.err, io.EOF) && a.text == "" {
			return "", fmt.Errorf("read from terminal: %w", io.ErrUnexpectedEOF)
		} else if a.err != nil && !errors.Is(a.err, io.EOF) {
			return "", fmt.Errorf("read from terminal: %w", a.err)
		}
		return a.text, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// prepare forgets what was typed ahead and hides what will be unless echo is set.
func (t *Terminal) prepare(echo bool) (restore func(), err error) {
	if t.pending {
		select {
		case <-t.lines: // a line meant for a question that was withdrawn
			t.pending = false
		default:
		}
	}
	var before *unix.Termios
	err = t.control(func(fd int) error {
		var err error
		if before, err = unix.IoctlGetTermios(fd, ioctlGet); err != nil {
			return err
		}
		during := *before
		during.Lflag |= unix.ICANON | unix.ISIG
		during.Iflag |= unix.ICRNL
		if !echo {
			during.Lflag &^= unix.ECHO
		}
		return unix.IoctlSetTermios(fd, ioctlSetFlush, &during)
	})
	if err != nil {
		return nil, err
	}
	return func() {
		_ = t.control(func(fd int) error { return unix.IoctlSetTermios(fd, ioctlSet, before) })
	}, nil
}

func (t *Terminal) control(f func(fd int) error) error {
	raw, err := t.in.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}
