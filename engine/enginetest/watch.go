package enginetest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A watching is a blocking call that reports through a callback, such as a Watch, while it runs.
type watching struct {
	calls chan struct{} // holds one: somebody called since the last wait
	done  chan error
	stop  context.CancelFunc
}

// watch runs the call beside the law.
func watch(ctx context.Context, call func(ctx context.Context, changed func()) error) *watching {
	ctx, stop := context.WithCancel(ctx)
	w := &watching{calls: make(chan struct{}, 1), done: make(chan error, 1), stop: stop}
	changed := func() {
		select {
		case w.calls <- struct{}{}:
		default:
		}
	}
	go func() { w.done <- call(ctx, changed) }()
	return w
}

// wait returns when changed has been called since the last wait.
func (w *watching) wait(what string) error {
	select {
	case <-w.calls:
		return nil
	case err := <-w.done:
		w.done <- err
		return fmt.Errorf("%s: the watch ended by itself: %v", what, err)
	case <-time.After(patience):
		return fmt.Errorf("%s: changed was not called", what)
	}
}

// end cancels the call, which has to return nil.
func (w *watching) end() error {
	w.stop()
	select {
	case err := <-w.done:
		if err != nil {
			return fmt.Errorf("watch after its context was done: %w", err)
		}
		return nil
	case <-time.After(patience):
		return errors.New("watch does not end when its context is done")
	}
}
