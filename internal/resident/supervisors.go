package resident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// supervisors are services on a host without systemd: for each one a daemon, which holds a lock. That
// it runs is all there is to know.
type supervisors struct {
	layout Layout
	init   initSystem
}

const (
	// stopPatience is how long a service may take to end, after which it is killed.
	stopPatience = time.Minute
	// endPatience is how long its supervisor may take, which waits for it.
	endPatience = stopPatience + 5*time.Second
	// startPatience is how long init may take to start a supervisor.
	startPatience = 10 * time.Second
)

func (l Layout) supervisor(service string) string {
	return filepath.Join(l.Dir(), service+".supervisor")
}

// ended is where a supervisor notes how its service ended last.
func (l Layout) ended(service string) string { return filepath.Join(l.Dir(), service+".ended") }

func (supervisors) Install(context.Context) error   { return nil }
func (supervisors) Uninstall(context.Context) error { return nil }

func (s supervisors) Start(ctx context.Context, service string) error {
	if err := s.start(ctx, service); err != nil {
		return fmt.Errorf("start %s: %w", service, err)
	}
	return nil
}

// start returns once the supervisor runs.
func (s supervisors) start(ctx context.Context, service string) error {
	if err := s.init.enable(ctx, service); err != nil {
		return err
	}
	if running, err := s.Running(ctx, service); running || err != nil {
		return err
	}
	if err := s.init.start(ctx, service); err != nil {
		return err
	}
	if !eventually(ctx, startPatience, func() bool { is, _ := s.Running(ctx, service); return is }) {
		return errors.New("nothing has started its supervisor")
	}
	return nil
}

func (s supervisors) Stop(ctx context.Context, service string) error {
	if err := s.init.disable(ctx, service); err != nil {
		return fmt.Errorf("stop %s: %w", service, err)
	}
	if err := s.end(ctx, service); err != nil {
		return err
	}
	if err := os.Remove(s.layout.supervisor(service)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("stop %s: %w", service, err)
	}
	return nil
}

// Restart leaves it to init to start the next supervisor, if that does.
func (s supervisors) Restart(ctx context.Context, service string) error {
	if err := s.end(ctx, service); err != nil {
		return err
	}
	return s.Start(ctx, service)
}

// end returns once the supervisor that runs has ended. Another one may run by then.
func (s supervisors) end(ctx context.Context, service string) error {
	path, first := s.layout.supervisor(service), 0
	signal := func(sig syscall.Signal) func() bool {
		return func() bool {
			pid, err := holder(path)
			if first == 0 {
				first = pid
			}
			if pid > 0 && pid == first {
				_ = syscall.Kill(pid, sig)
			}
			is, _ := held(path)
			return err == nil && (!is || pid != first)
		}
	}
	// Its own patience with the service comes first.
	if eventually(ctx, endPatience, signal(syscall.SIGTERM)) || eventually(ctx, 5*time.Second, signal(syscall.SIGKILL)) {
		return nil
	}
	return fmt.Errorf("stop %s: it has not ended", service)
}

func (s supervisors) Running(_ context.Context, service string) (bool, error) {
	return held(s.layout.supervisor(service))
}

// LastWords are what the supervisor noted.
func (s supervisors) LastWords(_ context.Context, service string) string {
	text, err := os.ReadFile(s.layout.ended(service))
	if err != nil {
		return ""
	}
	return oneLine(string(text))
}

// oneLine makes one line of a text, and of a long one its end.
func oneLine(text string) string {
	const most = 1000
	text = strings.Join(strings.Fields(text), " ")
	return strings.ToValidUTF8(text[max(0, len(text)-most):], "")
}
