package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"spore/internal/view"
)

// A gauge knows whether a run has converged, from its records.
type gauge struct {
	mu        sync.Mutex
	converged bool
	moved     chan struct{} // closed and replaced when converged changes
}

func newGauge() *gauge { return &gauge{moved: make(chan struct{})} }

func (g *gauge) hear(r view.Record) {
	if r.Type != view.Converged && r.Type != view.Diverged {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.converged = r.Type == view.Converged
	close(g.moved)
	g.moved = make(chan struct{})
}

// wait returns when the run has converged; that it ends first is an error.
func (g *gauge) wait(ctx context.Context, ended <-chan error) error {
	for {
		g.mu.Lock()
		converged, moved := g.converged, g.moved
		g.mu.Unlock()
		if converged {
			return nil
		}
		select {
		case <-moved:
		case err := <-ended:
			return errors.Join(errors.New("the run ended before it had converged"), err)
		case <-ctx.Done():
			return fmt.Errorf("the run has not converged: %w", ctx.Err())
		}
	}
}
