package resident

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// supervisors are services on a host without systemd: for each one a daemon, which holds a lock.
// That it runs is all there is to know; nothing starts it at boot.
type supervisors struct{ layout Layout }

// Supervising is what a supervisor says on standard output once it has begun.
const Supervising = "supervising\n"

// stopPatience is how long a service may take to end, after which it is killed.
const stopPatience = time.Minute

func (l Layout) supervisor(service string) string {
	return filepath.Join(l.Dir(), service+".supervisor")
}

// ended is where a supervisor notes how its service ended last.
func (l Layout) ended(service string) string { return filepath.Join(l.Dir(), service+".ended") }

func (supervisors) Install(context.Context) error   { return nil }
func (supervisors) Uninstall(context.Context) error { return nil }

// Start returns once the supervisor has begun.
func (s supervisors) Start(ctx context.Context, service string) error {
	if running, err := s.Running(ctx, service); running || err != nil {
		return err
	}
	argv := []string{"resident", "supervise", service}
	if s.layout != Standard() {
		argv = append(argv, "--root", s.layout.Root)
	}
	out, in, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", service, err)
	}
	defer out.Close()
	cmd := exec.Command(s.layout.Binary(), argv...) // #nosec G204 -- own binary
	cmd.Dir = s.layout.Root
	cmd.Stdout, cmd.Stderr = in, in
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the session that this runs in
	err = cmd.Start()
	in.Close()
	if err != nil {
		return fmt.Errorf("start %s: %w", service, err)
	}
	go func() { _ = cmd.Wait() }() // until then a zombie, if this process lives on
	defer context.AfterFunc(ctx, func() { out.Close() })()
	said, err := bufio.NewReader(out).ReadString('\n')
	if said == Supervising {
		return nil
	}
	if errors.Is(err, io.EOF) || err == nil {
		return fmt.Errorf("start %s: %s", service, strings.TrimSpace(said))
	}
	return fmt.Errorf("start %s: %w", service, err)
}

func (s supervisors) Stop(ctx context.Context, service string) error {
	path := s.layout.supervisor(service)
	signal := func(sig syscall.Signal) func() bool {
		return func() bool {
			pid, err := holder(path)
			if pid > 0 {
				_ = syscall.Kill(pid, sig)
			}
			is, _ := held(path)
			return err == nil && !is
		}
	}
	// Its own patience with the service comes first.
	if eventually(ctx, stopPatience+5*time.Second, signal(syscall.SIGTERM)) ||
		eventually(ctx, 5*time.Second, signal(syscall.SIGKILL)) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("stop %s: %w", service, err)
		}
		return nil
	}
	return fmt.Errorf("stop %s: it has not ended", service)
}

func (s supervisors) Restart(ctx context.Context, service string) error {
	if err := s.Stop(ctx, service); err != nil {
		return err
	}
	return s.Start(ctx, service)
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
