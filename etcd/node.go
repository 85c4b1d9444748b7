package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// A node is an etcd in this process.
type node struct {
	gate     *gate
	guard    guard
	embedded *embed.Etcd // nil until it has started
	patience time.Duration

	once   sync.Once
	done   chan struct{}
	err    error // set before done is closed
	closed atomic.Bool
}

// How long an etcd may take to end, which takes milliseconds; a member waits for the others, at worst
// for 7 s each at its two doors and to hand over the lead. One that failed may never end.
const (
	closeTimeout       = 10 * time.Second
	closeMemberTimeout = 30 * time.Second
	closeFailedTimeout = time.Second
)

func newNode() *node {
	return &node{gate: newGate(), done: make(chan struct{}), patience: closeTimeout}
}

// fatal is where etcd would end the process.
func (n *node) fatal(message string) { n.end(errors.New("store failed: " + message)) }

// start starts etcd in a goroutine of its own, for a fatal error ends that. If it fails it calls
// abandoned once etcd has let go of its files: when it runs out of time that is later, and after a
// fatal error never.
func (n *node) start(ctx context.Context, config *embed.Config, abandoned func()) error {
	type result struct {
		etcd *embed.Etcd
		err  error
	}
	started := make(chan result, 1)
	go func() {
		defer close(started)
		etcd, err := embed.StartEtcd(config)
		started <- result{etcd, err}
	}()
	select {
	case r, ok := <-started:
		if !ok {
			return n.Err()
		}
		if n.embedded = r.etcd; r.err != nil {
			abandoned()
			return r.err
		}
		n.guard.server.Store(r.etcd.Server)
		return nil
	case <-ctx.Done():
		go func() {
			r, ok := <-started
			if r.etcd != nil {
				r.etcd.Close()
			}
			if ok {
				abandoned()
			}
		}()
		return context.Cause(ctx)
	}
}

// ready waits until etcd serves.
func (n *node) ready(ctx context.Context) error {
	select {
	case <-n.embedded.Server.ReadyNotify():
		return nil
	case <-n.done:
		return n.Err()
	case err := <-n.embedded.Err():
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end says that the node has ended, once, and turns its clients away.
func (n *node) end(err error) {
	n.once.Do(func() {
		n.err = err
		n.gate.lock()
		close(n.done)
	})
}

// Done is closed when the store has ended, by Close or by itself; Err then tells why.
func (n *node) Done() <-chan struct{} { return n.done }

// Err returns why the store ended by itself, if it did.
func (n *node) Err() error {
	select {
	case <-n.done:
		return n.err
	default:
		return nil
	}
}

// close ends etcd. It does so once.
func (n *node) close() error {
	if n.closed.Swap(true) {
		return nil
	}
	n.end(nil)
	if n.embedded == nil {
		return nil
	}
	timeout := n.patience
	if err := n.Err(); err != nil && !errors.Is(err, ErrRemoved) {
		timeout = closeFailedTimeout
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-n.embedded.Server.ReadyNotify():
		default: // for which Close would wait, and without a majority for ever
			n.embedded.Server.HardStop()
		}
		n.embedded.Close()
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(timeout):
		return fmt.Errorf("close store: not ended after %v", timeout)
	}
}

// private returns an error if dir is not there, or open to others.
func private(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is open to others (%v): make it 0700", dir, info.Mode().Perm())
	}
	return nil
}
