package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"spore/remote/dial"
)

// An sshd that allows few sessions (MaxSessions) refuses a further one. Then whoever wants one takes
// turns: gives up an idle SFTP session for it, or waits for a session in use to end, and where none
// will makes another connection. Nobody who waits holds a session that others wait for, so that this
// comes to an end.

const (
	freeing     = time.Second           // how long sshd may take to free a session we closed
	freeingPoll = 50 * time.Millisecond // how often we look
	patience    = 10 * time.Minute      // how long to wait for sessions in use: for an upload on a slow link
	maxMore     = 2                     // connections beside the first: for the store, the agent, and all that is short
)

// session opens a session; release closes it, and may be called again.
func (h *host) session(ctx context.Context) (sess *ssh.Session, release func(), err error) {
	h.mu.Lock()
	scarce := h.scarce
	h.mu.Unlock()
	var refused *ssh.OpenChannelError
	if !scarce {
		sess, err = h.newSession()
	}
	if scarce || errors.As(err, &refused) {
		sess, err = h.queue(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	return sess, sync.OnceFunc(func() {
		sess.Close()
		h.count(&h.open, -1)
	}), nil
}

// newSession opens a session on the first connection that has room for one.
func (h *host) newSession() (*ssh.Session, error) {
	sess, err := h.client.NewSession()
	h.mu.Lock()
	more := h.more
	h.mu.Unlock()
	for _, c := range more {
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) {
			break
		}
		sess, err = c.NewSession()
	}
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	h.count(&h.open, 1)
	return sess, nil
}

// queue opens a session on an sshd that refuses some, in turn: of two that try at once each could
// take the other for a session that will end, or make a connection for itself.
func (h *host) queue(ctx context.Context) (*ssh.Session, error) {
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-h.dead:
		return nil, errDropped
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	stuck := time.NewTimer(h.patience)
	defer stuck.Stop()
	for {
		sess, err := h.newSession()
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) {
			return sess, err
		}
		room, err := h.yield(ctx, stuck.C)
		if err != nil {
			return nil, err
		}
		if !room {
			return h.widen(ctx, refused)
		}
	}
}

// yield makes room for a session that was refused, or waits until there may be some. It returns
// false where none is to be expected.
func (h *host) yield(ctx context.Context, stuck <-chan time.Time) (room bool, err error) {
	h.mu.Lock()
	if !h.scarce {
		h.scarce, h.freed = true, time.Now()
	}
	changed, busy, discard := h.changed, h.open-h.pinned, h.idle()
	settled := time.Since(h.freed) > freeing
	h.mu.Unlock()
	if discard != nil {
		discard()
		return true, nil
	}
	if settled && busy <= 0 { // less: what is pinned may have ended
		return false, nil
	}
	var poll <-chan time.Time
	if !settled {
		poll = time.After(freeingPoll)
	}
	select {
	case <-changed:
		return true, nil
	case <-poll:
		return true, nil
	case <-stuck:
		return false, nil
	case <-h.dead:
		return false, errDropped
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// widen opens a session on another connection, which is there for others from then on. The caller
// has the turn.
func (h *host) widen(ctx context.Context, refused *ssh.OpenChannelError) (*ssh.Session, error) {
	h.mu.Lock()
	full := len(h.more) >= maxMore
	h.mu.Unlock()
	if full {
		return nil, fmt.Errorf("%w: %s", ErrOneSession, Clean(refused.Message))
	}
	c, err := h.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w, nor another connection: %w", ErrOneSession, err)
	}
	sess, err := firstSession(ctx, c)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		c.Close()
		return nil, errDropped
	}
	h.more = append(h.more, c)
	h.open++
	go func() {
		c.Wait()
		h.closer() // to have lost one is to have lost the host
	}()
	return sess, nil
}

// firstSession opens a session on a connection that has none, or else closes the connection.
func firstSession(ctx context.Context, c *dial.Client) (*ssh.Session, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	sess, err := c.NewSession()
	if !stop() {
		return nil, context.Cause(ctx)
	}
	if err == nil {
		return sess, nil
	}
	c.Close()
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) { // as on every other
		return nil, fmt.Errorf("%w, nor one on another connection: %s", ErrOneSession, Clean(refused.Message))
	}
	return nil, fmt.Errorf("open session: %w", err)
}

// narrow closes all connections but the first.
func (h *host) narrow() {
	h.mu.Lock()
	more := h.more
	h.more, h.ended = nil, true
	h.mu.Unlock()
	for _, c := range more {
		c.Close()
	}
}

// count adds to one of the host's counts of sessions, and wakes who waits for a session.
func (h *host) count(n *int, by int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*n += by
	if by < 0 {
		h.freed = time.Now()
	}
	h.signal()
}

// signal wakes who waits for a session. The caller holds mu.
func (h *host) signal() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// pin says that nobody is to wait for the end of n of the caller's sessions; the result takes that
// back.
func (h *host) pin(n int) func() {
	h.count(&h.pinned, n)
	return sync.OnceFunc(func() { h.count(&h.pinned, -n) })
}
