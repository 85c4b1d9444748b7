package remote

import (
	"context"
	"fmt"
	"io"
	"net"

	"golang.org/x/time/rate"

	"spore/remote/dial"
)

// ConnOptions are those of a Conn.
type ConnOptions struct {
	// Become says as whom everything runs on the host; nil is as who logs in.
	Become *Become
	// Prefix, Executable, Bandwidth and Event are those of Options, for Install.
	Prefix     string
	Executable func(goos, goarch string) (Binary, error)
	Bandwidth  *rate.Limiter
	Event      func(Event)
}

// A Conn is a host that programs can be run on, one by one. It does not mend itself: when the
// connection is lost, what runs on it fails, and Lost reports it.
type Conn struct {
	host   *host
	target dial.Target
	dialer Dialer
	o      ConnOptions
}

// Connect logs in to a host, once: trying again is the caller's affair.
func Connect(ctx context.Context, target dial.Target, d Dialer, o ConnOptions) (*Conn, error) {
	if err := o.Become.check(); err != nil {
		return nil, err
	}
	client, err := d.Dial(ctx, target)
	if err != nil {
		return nil, atStep(StepConnect, err)
	}
	h := newHost(client.Client, client.Close, func(ctx context.Context) (*dial.Client, error) { return d.Dial(ctx, target) })
	h.become = newBecomer(o.Become, target.Name())
	return &Conn{h, target, d, o}, nil
}

// Run runs argv, gives it stdin, which may be nil, and returns what it wrote to stdout. A program
// that fails is a *ProgramError. The end of ctx ends the wait and the session, if not the program.
func (c *Conn) Run(ctx context.Context, stdin io.Reader, argv ...string) ([]byte, error) {
	return c.host.run(ctx, stdin, argv)
}

// Stream starts argv and returns its stdin and stdout as a connection, on which no deadlines can be
// set.
func (c *Conn) Stream(ctx context.Context, argv ...string) (net.Conn, error) {
	return c.host.stream(ctx, argv)
}

// Install sees to it that this program's executable lies in the host's cache, verified, and returns
// its path there and its SHA-256.
func (c *Conn) Install(ctx context.Context) (path, digest string, err error) {
	s := New(c.target, c.dialer, Options{
		Prefix: c.o.Prefix, Executable: c.o.Executable, Bandwidth: c.o.Bandwidth, Event: c.o.Event,
	})
	s.become = c.host.become
	pr, err := s.probe(ctx, c.host, "")
	if err != nil {
		return "", "", atStep(StepProbe, err)
	}
	s.arrive(pr.place)
	path, digest = pr.place.path, pr.place.binary.SHA256
	v, why, err := pr.verdict()
	pr.finish()
	if err != nil {
		return "", "", atStep(StepProbe, err)
	}
	err = atStep(StepBinary, s.install(ctx, c.host, s.at, v, why))
	err = s.leave(c.host, err)
	s.wg.Wait()
	return path, digest, err
}

// Lost is closed when the connection is gone.
func (c *Conn) Lost() <-chan struct{} { return c.host.dead }

// Close ends the connection, and what runs on it.
func (c *Conn) Close() error {
	c.host.close()
	return nil
}

// Exec runs a program beside the agent, over the session's connection, waiting for one: see
// Conn.Run. It is run again should the connection be lost meanwhile.
func (s *Session) Exec(ctx context.Context, stdin func() io.Reader, argv func(Paths) []string) (stdout []byte, err error) {
	err = s.onLink(ctx, func(ctx context.Context, l *link) error {
		var in io.Reader
		if stdin != nil {
			in = stdin()
		}
		var err error
		stdout, err = l.host.run(ctx, in, argv(l.paths()))
		return err
	})
	if err != nil {
		err = fmt.Errorf("run a program on the host: %w", err)
	}
	return stdout, err
}

// Stream starts a program beside the agent: see Conn.Stream.
func (s *Session) Stream(ctx context.Context, argv func(Paths) []string) (conn net.Conn, err error) {
	err = s.onLink(ctx, func(ctx context.Context, l *link) error {
		conn, err = l.host.stream(ctx, argv(l.paths()))
		return err
	})
	return conn, err
}

func (l *link) paths() Paths { return Paths{Binary: l.place.path, Run: l.place.run} }
