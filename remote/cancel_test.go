package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"spore/internal/sshtest"
)

// Whatever a session was doing when its context ended, nothing of it stays on the host.
func TestCancelAtEveryStepLeavesNothing(t *testing.T) {
	on := func(is func(Event) bool) func(*Options, context.CancelFunc) func(Event) {
		return func(_ *Options, cancel context.CancelFunc) func(Event) {
			return func(e Event) {
				if is(e) {
					cancel()
				}
			}
		}
	}
	steps := map[string]func(*Options, context.CancelFunc) func(Event){
		"connecting": on(func(e Event) bool { _, ok := e.(Connecting); return ok }),
		"connected":  on(func(e Event) bool { _, ok := e.(Connected); return ok }),
		"probed":     on(func(e Event) bool { _, ok := e.(Probed); return ok }),
		"copying":    on(func(e Event) bool { _, ok := e.(Copying); return ok }),
		"copied":     on(func(e Event) bool { _, ok := e.(Copied); return ok }),
		"forwarded":  on(func(e Event) bool { _, ok := e.(Forwarded); return ok }),
		"started":    on(func(e Event) bool { _, ok := e.(Started); return ok }),
		"executable": func(o *Options, cancel context.CancelFunc) func(Event) {
			executable := o.Executable
			o.Executable = func(goos, goarch string) (Binary, error) {
				cancel()
				return executable(goos, goarch)
			}
			return nil
		},
		"file": func(o *Options, cancel context.CancelFunc) func(Event) {
			open := o.Files[0].Open
			o.Files[0].Open = func() (io.ReadCloser, error) {
				cancel()
				return open()
			}
			return nil
		},
		"store": func(o *Options, cancel context.CancelFunc) func(Event) {
			o.Dial = func(ctx context.Context) (net.Conn, error) {
				cancel()
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return nil
		},
		"arguments": func(o *Options, cancel context.CancelFunc) func(Event) {
			args := o.Args
			o.Args = func(p Paths) []string {
				cancel()
				return args(p)
			}
			return nil
		},
	}
	for name, arm := range steps {
		for _, sessions := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s/%d", name, sessions), func(t *testing.T) {
				r := newRig(t, sshtest.Options{MaxSessions: sessions})
				o := r.options()
				o.NoCache = true
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				o.Event = arm(&o, cancel)
				_, err := New(r.target, r.dialer, o).Run(ctx)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				r.wantNothing()
			})
		}
	}
}

func TestCancelledUploadLeavesNoHalfFile(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	o := r.options()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o.Event = func(e Event) {
		if c, ok := e.(Copying); ok && c.Done > c.Total/2 {
			cancel()
		}
	}
	if _, err := New(r.target, r.dialer, o).Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	r.wantNothing()
}

func TestDropWhileSettingUp(t *testing.T) {
	steps := map[string]func(Event) bool{
		"connected": func(e Event) bool { _, ok := e.(Connected); return ok },
		"probed":    func(e Event) bool { _, ok := e.(Probed); return ok },
		"copying":   func(e Event) bool { _, ok := e.(Copying); return ok },
		"copied":    func(e Event) bool { _, ok := e.(Copied); return ok },
		"forwarded": func(e Event) bool { _, ok := e.(Forwarded); return ok },
	}
	for name, is := range steps {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sshtest.Options{})
			dropped := false
			j := r.startHooked(r.options(), func(_ *job, e Event) {
				if is(e) && !dropped {
					dropped = true
					r.server.DropAll()
				}
			})
			j.waitLine("agent: store says got from the host", 1)
			if res := j.stopped(); res.Reconnects != 1 {
				t.Errorf("result %+v", res)
			}
			if !eventually(func() bool { return len(listing(t, r.prefix)) == 3 }) {
				r.wantOnlyCache()
			}
		})
	}
}

func TestNoExecutableForTheHost(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	o := r.options()
	o.Executable = func(goos, goarch string) (Binary, error) { return Binary{}, os.ErrNotExist }
	_, err := r.start(o).end()
	var step *StepError
	if !errors.As(err, &step) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	r.wantNothing()
}
