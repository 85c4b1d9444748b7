package resident

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A supervisor keeps one process running.
type supervisor struct {
	layout  Layout
	service string
	// first is how long it waits before it starts again what ended at once, most what that grows to.
	// What has run for longer than steady begins anew.
	first, most, steady time.Duration
}

// Supervise keeps a service running, whenever there is something for it to do, until ctx is done; the
// service ends first. It is what Services does where there is no systemd. started is called once it
// holds the lock that keeps a second one away.
func Supervise(ctx context.Context, l Layout, service string, started func()) error {
	s := supervisor{layout: l, service: service, first: time.Second, most: time.Minute, steady: time.Minute}
	return s.run(ctx, started)
}

func (s supervisor) run(ctx context.Context, started func()) error {
	if s.service != AgentService && s.service != StoreService {
		return fmt.Errorf("supervise: there is no service %q", s.service)
	}
	lock, err := tryLock(s.layout.supervisor(s.service), os.O_RDWR|os.O_CREATE, unix.LOCK_EX)
	if errors.Is(err, errHeld) {
		return fmt.Errorf("supervise: the %s of this host is supervised already", s.service)
	}
	if err != nil {
		return fmt.Errorf("supervise: %w", err)
	}
	defer lock.Close()
	err = lock.Truncate(0)
	if err == nil {
		_, err = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return fmt.Errorf("supervise: %w", err)
	}
	started()
	s.keep(ctx)
	return nil
}

// keep runs the process again and again, more and more seldom if it ends at once.
func (s supervisor) keep(ctx context.Context) {
	for wait := s.first; ctx.Err() == nil; pause(ctx, wait) {
		if !s.wanted() {
			wait = s.first
			continue
		}
		begin := time.Now()
		err := s.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if wait = min(2*wait, s.most); time.Since(begin) > s.steady {
			wait = s.first
		}
		s.note(err, wait)
	}
}

// note leaves word of how the process ended last, where nothing grows with the times that it does.
func (s supervisor) note(err error, pause time.Duration) {
	text := fmt.Sprintf("%s: the %s ended, and is started again in %v: %v\n", time.Now().UTC().Format(time.RFC3339), s.service, pause, err)
	_ = writeFile(s.layout.ended(s.service), []byte(text), 0o600) // a full disk ends no supervisor
}

// wanted says no while there is nothing to do for the service, so that its end was its own decision.
func (s supervisor) wanted() bool {
	_, err := os.Stat(s.layout.wanted(s.service))
	return err == nil
}

// environment is that of services, as systemd gives it: whoever starts their supervisor, be it a session
// or an init that knows of no home.
func environment() []string {
	home := "/root"
	if root, err := user.LookupId("0"); err == nil {
		home = root.HomeDir
	}
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + home, "USER=root", "LOGNAME=root", "SHELL=/bin/sh",
	}
}

// once runs the process until it ends, or has to because ctx is done.
func (s supervisor) once(ctx context.Context) error {
	runtime.LockOSThread() // with which the process ends
	defer runtime.UnlockOSThread()
	argv := s.layout.command(s.service)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) // #nosec G204 -- own binary
	cmd.Dir, cmd.Env = s.layout.Root, environment()
	last := &tail{}
	cmd.Stderr = last
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopPatience
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	err := cmd.Run()
	if text := last.String(); text != "" && ctx.Err() == nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// A tail keeps the end of what is written to it.
type tail struct{ text []byte }

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > tailSize {
		t.text = append(t.text[:0], t.text[len(t.text)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.text) }
