package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"spore/internal/resident"
	"spore/remote"
	"spore/remote/dial"
)

// A Conn is a host that programs can be run on, one by one; *remote.Conn is one.
type Conn interface {
	// Run runs argv, gives it stdin, which may be nil, and returns what it wrote to stdout.
	Run(ctx context.Context, stdin io.Reader, argv ...string) ([]byte, error)
	// Stream starts argv and returns its stdin and stdout as a connection, which outlives ctx.
	Stream(ctx context.Context, argv ...string) (net.Conn, error)
	// Install sees to it that this program's executable lies in the host's cache.
	Install(ctx context.Context) (path, digest string, err error)
	// Lost is closed when the connection is gone.
	Lost() <-chan struct{}
	Close() error
}

// SSH logs in to hosts by d.
func SSH(d remote.Dialer, o remote.ConnOptions) func(context.Context, HostRecord) (Conn, error) {
	return func(ctx context.Context, h HostRecord) (Conn, error) {
		target, err := dial.Parse(h.Address)
		if err != nil {
			return nil, err
		}
		c, err := remote.Connect(ctx, target, d, o)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

// A Reacher opens the store of a cluster through any of its hosts.
type Reacher struct {
	Record Record
	// Connect logs in to a host, once; see SSH.
	Connect func(context.Context, HostRecord) (Conn, error)
	// Timeout is how long hosts are tried again that may be reached a little later; 30 s if zero. What
	// is under way then, a person who is being asked included, still gets to its own end.
	Timeout time.Duration
	Binary  string // the resident binary on the hosts; that of resident.Standard if empty
	Log     *slog.Logger

	checks *pace // nil is the usual; tests are in a hurry
}

const reachTimeout = 30 * time.Second

// A pace says how often the store is asked whether it answers, and how long that may take.
type pace struct{ every, bound time.Duration }

func (r *Reacher) pace() pace {
	if r.checks != nil {
		return *r.checks
	}
	return pace{every: 5 * time.Second, bound: 5 * time.Second}
}

// Open returns a link to the cluster's store as soon as one host leads to it. If none does the error
// is an *UnreachableError.
func (r *Reacher) Open(ctx context.Context) (*Link, error) {
	l, err := r.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach cluster %s: %w", r.Record.Cluster.Name, err)
	}
	return l, nil
}

func (r *Reacher) timeout() time.Duration { return cmp.Or(r.Timeout, reachTimeout) }

// pipe is the command line that leads to the store on a host.
func (r *Reacher) pipe() []string {
	return []string{cmp.Or(r.Binary, resident.Standard().Binary()), "resident", "pipe"}
}

// An UnreachableError says why each host of a cluster did not lead to its store.
type UnreachableError struct{ Hosts []HostError }

// A HostError is what went wrong with one host.
type HostError struct {
	Host string
	Err  error
}

// Error has a line for each host.
func (e *UnreachableError) Error() string {
	if len(e.Hosts) == 0 {
		return "its record names no host"
	}
	var b strings.Builder
	b.WriteString("no host leads to its store")
	mute := false
	for _, h := range e.Hosts {
		fmt.Fprintf(&b, "\n  %s: %s", remote.Clean(h.Host), remote.Clean(h.Err.Error()))
		var login *loginError
		mute = mute || errors.Is(h.Err, context.DeadlineExceeded) && !errors.As(h.Err, &login)
	}
	if mute {
		b.WriteString("\nit answers when most of its members are up; if they are lost for good, spore revive makes one of the others the store")
	}
	return b.String()
}

// Unwrap returns what went wrong with each host.
func (e *UnreachableError) Unwrap() []error {
	errs := make([]error, len(e.Hosts))
	for i, h := range e.Hosts {
		errs[i] = h.Err
	}
	return errs
}

// lasting says that trying the same host again will not help.
func lasting(err error) bool {
	var login *loginError
	if errors.As(err, &login) {
		return !dial.Temporary(login.err)
	}
	var become *remote.BecomeError
	var program *remote.ProgramError
	return errors.As(err, &become) || errors.Is(err, errStranger) ||
		errors.As(err, &program) && (program.Code == cannotRun || program.Code == notFound)
}

// An absentError says that a host has no program of ours.
type absentError struct{ err error }

func (e *absentError) Error() string {
	return "nothing of the cluster resides there: the host has left it, or the cluster is no more"
}

func (e *absentError) Unwrap() error { return e.err }

// explain says in words what it means that a program is not found.
func explain(err error) error {
	var program *remote.ProgramError
	if errors.As(err, &program) && program.Code == notFound {
		return &absentError{err}
	}
	return err
}

// A loginError says why a host let nobody in.
type loginError struct{ err error }

func (e *loginError) Error() string { return e.err.Error() }
func (e *loginError) Unwrap() error { return e.err }
