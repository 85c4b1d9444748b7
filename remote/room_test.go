package remote

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"spore/internal/sshtest"
	"spore/remote/dial"
)

const none = -1 // of sshtest's MaxSessions, as sshd has it with 0

// host connects to the rig's server, without a Session.
func (r *rig) host() *host {
	r.t.Helper()
	again := func(ctx context.Context) (*dial.Client, error) { return r.dialer.Dial(ctx, r.target) }
	c, err := again(r.t.Context())
	must(r.t, err)
	h := newHost(c.Client, c.Close, again)
	r.t.Cleanup(h.close)
	return h
}

// openFor opens a session that lasts until the result is called.
func (h *host) openFor(t *testing.T) (release func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	_, release, err := h.session(ctx)
	must(t, err)
	return release
}

// A host that lets us in and allows no session at all is refused, with the name of what is to be changed.
func TestNoSession(t *testing.T) {
	r := newRig(t, sshtest.Options{MaxSessions: none})
	_, err := r.start(r.options()).end()
	var step *StepError
	if !errors.As(err, &step) || step.Step != StepProbe || !errors.Is(err, ErrOneSession) || !strings.Contains(err.Error(), "MaxSessions") {
		t.Errorf("error %v", err)
	}
}

// However many want a session that none will get, each is told so, and connections do not pile up.
func TestNoSessionForAnybody(t *testing.T) {
	r := newRig(t, sshtest.Options{MaxSessions: none})
	h := r.host()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	const users = 4
	var wg sync.WaitGroup
	for n := range users {
		wg.Go(func() {
			var err error
			if n%2 == 0 {
				_, _, err = h.session(ctx)
			} else {
				_, _, err = h.sftp(ctx)
			}
			if !errors.Is(err, ErrOneSession) {
				t.Errorf("error %v", err)
			}
		})
	}
	wg.Wait()
	if !eventually(func() bool { return r.server.Open() == 1 }) {
		t.Errorf("%d connections are open, want 1", r.server.Open())
	}
	if n := r.server.Connections(); n > 1+users {
		t.Errorf("%d connections were made for %d users", n, users)
	}
}

func TestSessionInUseIsWaitedFor(t *testing.T) {
	r := newRig(t, sshtest.Options{MaxSessions: 1})
	h := r.host()
	release := h.openFor(t)
	waited := make(chan error)
	go func() {
		_, again, err := h.session(t.Context())
		if err == nil {
			again()
		}
		waited <- err
	}()
	if !eventually(func() bool { return len(h.turn) == 1 }) {
		t.Fatal("nobody waits")
	}
	release()
	must(t, <-waited)
	if n := r.server.Connections(); n != 1 {
		t.Errorf("%d connections were made, want 1", n)
	}
}

// A session that lasts is not waited for; and where no more is to be had, no further connection is
// made, however many want one.
func TestLastingSessionsAreNotWaitedFor(t *testing.T) {
	r := newRig(t, sshtest.Options{MaxSessions: 1})
	h := r.host()
	var releases []func()
	for range 1 + maxMore {
		releases = append(releases, h.openFor(t))
		h.pin(1)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, _, err := h.session(t.Context()); !errors.Is(err, ErrOneSession) {
				t.Errorf("error %v", err)
			}
		})
	}
	wg.Wait()
	if n := r.server.Connections(); n != 1+maxMore {
		t.Errorf("%d connections were made, want %d", n, 1+maxMore)
	}
	releases[1]()
	h.openFor(t)()
}

// Sessions in use that do not end are not waited for without end either.
func TestSessionsThatDoNotEnd(t *testing.T) {
	r := newRig(t, sshtest.Options{MaxSessions: 1})
	h := r.host()
	h.patience = time.Millisecond
	for range 1 + maxMore {
		defer h.openFor(t)()
	}
	if _, _, err := h.session(t.Context()); !errors.Is(err, ErrOneSession) {
		t.Errorf("error %v", err)
	}
}

// Who waits for a session waits no longer than the connection lasts, or its own context.
func TestWaitingEnds(t *testing.T) {
	r := newRig(t, sshtest.Options{MaxSessions: 1})
	h := r.host()
	defer h.openFor(t)()
	ctx, cancel := context.WithCancelCause(t.Context())
	wait := func(ctx context.Context, errs chan<- error) {
		_, _, err := h.session(ctx)
		errs <- err
	}
	mine, lost := make(chan error, 2), make(chan error, 2)
	for range 2 { // one has the turn, the other waits for it
		go wait(ctx, mine)
	}
	if !eventually(func() bool { return len(h.turn) == 1 }) {
		t.Fatal("nobody waits")
	}
	cancel(errStopped)
	for range 2 {
		if err := <-mine; !errors.Is(err, errStopped) {
			t.Errorf("error %v", err)
		}
		go wait(t.Context(), lost)
	}
	if !eventually(func() bool { return len(h.turn) == 1 }) {
		t.Fatal("nobody waits")
	}
	r.server.DropAll()
	for range 2 {
		if err := <-lost; err == nil {
			t.Error("a session was opened on a connection that is lost")
		}
	}
}
