package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// What is meant to go on for ever and ends is begun again after a wait of minRewatch, and more each
// time: up to maxRewatch for a resource, to maxReworld for the exchange, for which others wait.
const (
	minRewatch = 250 * time.Millisecond
	maxRewatch = time.Minute
	maxReworld = 2 * time.Second
)

// guard turns a panic of f into an error that says where; the whole stack goes to log.
func guard(log *slog.Logger, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v (%s)", p, origin())
			log.Debug("recovered from a panic", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return f()
}

// origin returns file:line of what panicked. It is called by the deferred function that recovers.
func origin() string {
	pc := make([]uintptr, 32)
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc)])
	for {
		f, more := frames.Next()
		if !more || !strings.HasPrefix(f.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
	}
}

// keepUp calls f until ctx is done. f is to go on until then; when it returns before, failed hears
// why, and f is called again after a wait: longer each time, unless f held out for longer than the
// last wait was.
func keepUp(ctx context.Context, longest time.Duration, f func() error, failed func(wait time.Duration, err error)) {
	for wait := minRewatch; ctx.Err() == nil; wait = min(2*wait, longest) {
		start := time.Now()
		err := f()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		if time.Since(start) > wait {
			wait = minRewatch
		}
		failed(wait, err)
		sleep(ctx, wait)
	}
}

// tick calls f at each interval until ctx is done.
func tick(ctx context.Context, interval time.Duration, f func()) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			f()
		case <-ctx.Done():
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
