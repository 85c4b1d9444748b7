package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"spore/etcd"
)

const (
	leaveBound = 5 * time.Minute // for others to take over what a host did for the store
	leavePoll  = 300 * time.Millisecond
)

// ErrLast says that a host cannot leave, since none would be left.
var ErrLast = errors.New("it is the last host of the cluster: spore destroy ends the cluster")

// A Leave takes a host out of its cluster. Interrupted anywhere, it is finished by doing it again.
type Leave struct {
	Record Record
	Host   string
	// Force has it go on where the host cannot be reached.
	Force bool
	Store leaveStore // *etcd.Store
	// Conn returns a connection to the host.
	Conn func(ctx context.Context, host string) (Conn, error)
	// Drop takes the host out of the record that is kept.
	Drop func(host string) error
	Tell func(format string, a ...any)

	poll time.Duration // leavePoll if zero
}

// A leaveStore is what it takes to dismiss a host.
type leaveStore interface {
	Graphs(ctx context.Context) (map[string]etcd.Graph, error)
	Members(ctx context.Context) ([]etcd.Member, error)
	Orders(ctx context.Context) (map[string]etcd.Order, error)
	MarkLeaving(ctx context.Context, host string) error
	Dismiss(ctx context.Context, host string) error
}

// An AwayError says that a host that is to leave cannot be reached.
type AwayError struct {
	Host string
	Err  error
}

func (e *AwayError) Error() string {
	return fmt.Sprintf("%s leaves: it cannot be reached, and nothing was changed; --force goes on without it: %v", e.Host, e.Err)
}

func (e *AwayError) Unwrap() error { return e.Err }

// A StayedError says that a host was dismissed that could not be reached: what resides there stays.
type StayedError struct {
	Host string
	Err  error
}

func (e *StayedError) Error() string {
	return fmt.Sprintf("%s could not be reached, so its agent and its files stay there and keep it as its last graph says, "+
		"but can do nothing to the cluster: spore resident remove takes them away there: %v", e.Host, e.Err)
}

func (e *StayedError) Unwrap() error { return e.Err }

// Run takes the host out: others take over what it does for the store, what resides on it is taken
// away, and the store forgets it. With Force, a host that cannot be reached is a *StayedError in the
// end.
func (l *Leave) Run(ctx context.Context) error {
	if err := l.Check(ctx); err != nil {
		return err
	}
	conn, unreachable := l.Conn(ctx, l.Host)
	if unreachable != nil && !l.Force {
		return &AwayError{l.Host, unreachable}
	}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return l.Store.MarkLeaving(ctx, l.Host) },
		l.awaitOthers,
		func(ctx context.Context) error {
			if unreachable != nil {
				return nil
			}
			l.Tell("taking away what resides on it")
			return l.remove(ctx, conn)
		},
		func(ctx context.Context) error { return l.Store.Dismiss(ctx, l.Host) },
		func(context.Context) error { return l.Drop(l.Host) },
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("%s leaves: %w; to run this again finishes the job", l.Host, err)
		}
	}
	if unreachable != nil {
		return &StayedError{l.Host, unreachable}
	}
	return nil
}

// Check reports why the host cannot leave.
func (l *Leave) Check(ctx context.Context) error {
	graphs, err := l.Store.Graphs(ctx)
	if err != nil {
		return err
	}
	_, recorded := l.Record.Host(l.Host)
	if _, has := graphs[l.Host]; !has && !recorded {
		return l.Record.NoHost(l.Host)
	}
	delete(graphs, l.Host)
	for _, h := range l.Record.Hosts {
		if h.Name != l.Host {
			graphs[h.Name] = etcd.Graph{}
		}
	}
	if len(graphs) == 0 {
		return fmt.Errorf("%s leaves: %w", l.Host, ErrLast)
	}
	return nil
}

// awaitOthers waits until the host serves the store no more.
func (l *Leave) awaitOthers(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, leaveBound, fmt.Errorf("it still serves the store after %v: spore status tells why", leaveBound))
	defer cancel()
	told := false
	for {
		serves, err := l.serves(ctx)
		if err == nil && !serves {
			return nil
		}
		if err == nil && !told {
			told = true
			l.Tell("others take its place in the store")
		}
		poll := leavePoll
		if l.poll > 0 {
			poll = l.poll
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(poll):
		}
	}
}

// serves says whether the host is a member, or about to be one: until it has been started its order
// alone tells whose it is.
func (l *Leave) serves(ctx context.Context) (bool, error) {
	orders, err := l.Store.Orders(ctx)
	if err != nil {
		return false, err
	}
	members, err := l.Store.Members(ctx)
	o, ordered := orders[l.Host]
	return slices.ContainsFunc(members, func(m etcd.Member) bool {
		return m.Host == l.Host || ordered && m.ID == o.Member
	}), err
}

// remove takes away what resides on the host, unless that is another cluster's.
func (l *Leave) remove(ctx context.Context, conn Conn) error {
	err := removeFrom(ctx, conn, l.Host, l.Record.Cluster.ID, false)
	var stranger *StrangerError
	if errors.As(err, &stranger) {
		l.Tell("%v", stranger)
		return nil
	}
	return err
}
