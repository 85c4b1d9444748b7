package remote

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// maxMore is how many connections may be made beside the first: one for the way to the store, one
// for the agent, one for all that is short.
const maxMore = 2

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
	return sess, err
}

// widen makes another connection, for an sshd that allows fewer sessions on one than are needed.
func (h *host) widen(ctx context.Context, refused *ssh.OpenChannelError) error {
	h.mu.Lock()
	full := len(h.more) == maxMore
	h.mu.Unlock()
	if full {
		return fmt.Errorf("%w: %s", ErrOneSession, Clean(refused.Message))
	}
	c, err := h.dial(ctx)
	if err != nil {
		return fmt.Errorf("%w, nor another connection: %w", ErrOneSession, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		c.Close()
		return errDropped
	}
	h.more = append(h.more, c)
	go func() {
		c.Wait()
		h.closer() // to have lost one is to have lost the host
	}()
	return nil
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
