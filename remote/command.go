package remote

import (
	"context"
	"io"

	"golang.org/x/crypto/ssh"
)

// A command is a program under way on the host, as the user that the agent is to be.
type command struct {
	in       io.WriteCloser
	out      io.Reader
	errs     io.Reader
	sessions int          // SSH sessions that it takes
	wait     func() error // says how it ended, once both out and errs have
	kill     func()       // kills it where sshd lets us
	free     func()       // closes its sessions; may be called again
}

// command starts argv, which nothing but newlines and NUL bytes can do any harm in.
func (h *host) command(ctx context.Context, argv ...string) (*command, error) {
	if h.foreign() {
		return h.become.command(ctx, h, argv)
	}
	line, err := Quote(argv...)
	if err != nil {
		return nil, err
	}
	// exec, so that the program is the very process that sshd started, whatever the login shell.
	return h.exec(ctx, "exec "+line)
}

// exec has the login shell run line; before is done to the session first.
func (h *host) exec(ctx context.Context, line string, before ...func(*ssh.Session) error) (*command, error) {
	sess, release, err := h.session(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, release)
	defer stop()
	c := &command{sessions: 1, wait: sess.Wait, free: release, kill: func() { sess.Signal(ssh.SIGKILL) }}
	if err := c.start(sess, line, before); err != nil {
		release()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return c, nil
}

func (c *command) start(sess *ssh.Session, line string, before []func(*ssh.Session) error) (err error) {
	if c.in, err = sess.StdinPipe(); err != nil {
		return err
	}
	if c.out, err = sess.StdoutPipe(); err != nil {
		return err
	}
	if c.errs, err = sess.StderrPipe(); err != nil {
		return err
	}
	for _, f := range before {
		if err := f(sess); err != nil {
			return err
		}
	}
	return sess.Start(line)
}
