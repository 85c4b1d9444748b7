package remote

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// farewell is how long a program that has ended its output may take to end itself.
const farewell = 5 * time.Second

// maxAnswer is how many bytes of a program's standard output are taken in.
const maxAnswer = 64 << 20

// A ProgramError says how a program on a host failed.
type ProgramError struct {
	Program string
	Code    int      // its exit status; -1 if there is none
	Stderr  []string // the last lines that it wrote there, cleaned
}

// Error implements error.
func (e *ProgramError) Error() string {
	if len(e.Stderr) > 0 {
		return e.Program + ": " + strings.Join(e.Stderr, "; ")
	}
	return fmt.Sprintf("%s ended with status %d and without a word", e.Program, e.Code)
}

// A guest is a program beside the agent: a command whose own output has begun: what login scripts printed is gone.
type guest struct {
	name string
	cmd  *command
	out  *bufio.Reader
	said tail
	errs sync.WaitGroup
}

// startProgram starts argv on the host.
func (h *host) startProgram(ctx context.Context, argv []string) (*guest, error) {
	begin := "spore-" + rand.Text()
	const first = `printf '\n%s\n' "$0" && printf '\n%s\n' "$0" >&2 && ` +
		`PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin} && export PATH && exec "$@"`
	cmd, err := h.command(ctx, append([]string{"/bin/sh", "-c", first, begin}, argv...)...)
	if err != nil {
		return nil, err
	}
	p := &guest{name: strings.Join(argv[:min(len(argv), 3)], " "), cmd: cmd, out: bufio.NewReaderSize(cmd.out, 32<<10)}
	p.errs.Go(func() {
		_ = eachLine(cmd.errs, maxLine, func(line string) {
			if line == begin {
				p.said.clear()
			} else if line != "" {
				p.said.add(line)
			}
		})
	})
	stop := context.AfterFunc(ctx, cmd.free)
	defer stop()
	if err := p.skip(begin); err != nil {
		err = p.end(err)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return p, nil
}

// skip reads up to the line after which the output is the program's own.
func (p *guest) skip(begin string) error {
	for {
		line, err := p.out.ReadString('\n')
		if strings.TrimRight(line, "\r\n") == begin {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the host started nothing: %w", err)
		}
	}
}

// end frees the program, which has ended its output, and returns why it failed; err is what else
// is known of that.
func (p *guest) end(err error) error {
	defer p.cmd.free()
	p.errs.Wait()
	failed := p.cmd.wait()
	var exit *ssh.ExitError
	switch {
	case errors.As(failed, &exit):
		return &ProgramError{Program: p.name, Code: exit.ExitStatus(), Stderr: p.said.text()}
	case failed != nil:
		return errors.Join(err, failed)
	}
	return err
}

// run has the host run argv, gives it stdin, and returns what it wrote to stdout.
func (h *host) run(ctx context.Context, stdin io.Reader, argv []string) ([]byte, error) {
	p, err := h.startProgram(ctx, argv)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, p.cmd.free)
	defer stop()
	go func() {
		if stdin != nil {
			_, _ = io.Copy(p.cmd.in, stdin)
		}
		_ = p.cmd.in.Close()
	}()
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(p.out, maxAnswer+1))
	if n > maxAnswer {
		p.cmd.free()
		return nil, fmt.Errorf("%s wrote more than %d bytes", p.name, maxAnswer)
	}
	if err = p.end(err); err == nil {
		return out.Bytes(), nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return out.Bytes(), err
}

// stream starts argv on the host and returns its stdin and stdout as a connection. The end of ctx
// ends what has not yet begun, and nothing after.
func (h *host) stream(ctx context.Context, argv []string) (net.Conn, error) {
	p, err := h.startProgram(ctx, argv)
	if err != nil {
		return nil, err
	}
	read, write := io.Pipe()
	c := &guestConn{guest: p, unpin: h.pin(p.cmd.sessions), read: read}
	go func() {
		_, err := io.Copy(write, p.out)
		write.CloseWithError(c.why(err))
	}()
	return c, nil
}

// A guestConn is a program's stdin and stdout as a connection. It knows no deadlines.
type guestConn struct {
	*guest
	unpin func()
	once  sync.Once
	// read is what the program writes. A session is not enough: who reads from that waits until the
	// program has ended, whoever closes it here.
	read *io.PipeReader
	// writing is held for each write: the end of input may not be said in the middle of one.
	writing sync.Mutex
}

func (p *guestConn) Read(b []byte) (int, error) { return p.read.Read(b) }

// why is what ended the program's output; nil is its end and nothing else.
func (p *guestConn) why(err error) error {
	if err != nil {
		return err
	}
	code := p.hear()
	if said := p.said.text(); len(said) > 0 {
		return &ProgramError{Program: p.name, Code: code, Stderr: said}
	}
	return nil
}

// hear waits for what is said on stderr once stdout has ended, and returns the program's exit status; -1
// if there is none.
func (p *guestConn) hear() int {
	ended := make(chan error, 1)
	go func() {
		p.errs.Wait()
		ended <- p.cmd.wait()
	}()
	select {
	case err := <-ended:
		var exit *ssh.ExitError
		switch {
		case err == nil:
			return 0
		case errors.As(err, &exit):
			return exit.ExitStatus()
		}
	case <-time.After(farewell): // somebody else has its stderr as well
	}
	return -1
}

func (p *guestConn) Write(b []byte) (int, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	return p.cmd.in.Write(b)
}

func (p *guestConn) Close() error {
	p.once.Do(func() {
		_ = p.read.Close()
		if p.writing.TryLock() { // else the end of the session says it
			_ = p.cmd.in.Close()
			p.writing.Unlock()
		}
		p.cmd.free()
		p.unpin()
	})
	return nil
}

// LocalAddr and RemoteAddr name the program.
func (p *guestConn) LocalAddr() net.Addr  { return programAddr(p.name) }
func (p *guestConn) RemoteAddr() net.Addr { return programAddr(p.name) }

func (p *guestConn) SetDeadline(time.Time) error      { return nil }
func (p *guestConn) SetReadDeadline(time.Time) error  { return nil }
func (p *guestConn) SetWriteDeadline(time.Time) error { return nil }

type programAddr string

func (programAddr) Network() string  { return "ssh" }
func (a programAddr) String() string { return string(a) }
