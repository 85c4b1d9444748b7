package enginetest

import (
	"context"
	"sync/atomic"
)

// A lookCounter is a context that ends when it has been looked at so many times: a cancellation at
// a chosen place of the code instead of at a moment.
type lookCounter struct {
	context.Context
	cancel context.CancelFunc
	left   atomic.Int64
}

// cancelAtLook returns a context that lets n looks pass and ends at the next.
func cancelAtLook(ctx context.Context, n int) *lookCounter {
	ctx, cancel := context.WithCancel(ctx)
	c := &lookCounter{Context: ctx, cancel: cancel}
	c.left.Store(int64(n))
	return c
}

func (c *lookCounter) look() {
	if c.left.Add(-1) < 0 {
		c.cancel()
	}
}

// Done counts as a look.
func (c *lookCounter) Done() <-chan struct{} {
	c.look()
	return c.Context.Done()
}

// Err counts as a look.
func (c *lookCounter) Err() error {
	c.look()
	return c.Context.Err()
}

// fired reports whether the context ended, and ends it.
func (c *lookCounter) fired() bool {
	fired := c.Context.Err() != nil
	c.cancel()
	return fired
}
