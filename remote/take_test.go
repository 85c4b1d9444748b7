package remote

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"spore/internal/sshtest"
	"spore/remote/dial"
)

const large = 8 << 20 // bytes: more than sshd lets a client send ahead

// A patient dialer does not dial while the host still writes what has come before.
type patient struct {
	Dialer
	settled func() bool
}

func (p patient) Dial(ctx context.Context, t dial.Target) (*dial.Client, error) {
	eventually(p.settled)
	return p.Dialer.Dial(ctx, t)
}

// settled reports whether no process has a file open whose path begins with prefix.
func settled(prefix string) bool {
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range open {
		if path, _ := os.Readlink(fd); strings.HasPrefix(path, prefix) {
			return false
		}
	}
	return true
}

// What has arrived before a connection was lost need not be sent again.
func TestUploadGoesOnAfterADrop(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	r.binary = paddedProgram(t, t.TempDir(), large)
	s := New(r.target, patient{r.dialer, func() bool { return settled(r.prefix) }}, r.dropOnce())
	var copied Copied
	event := s.o.Event
	s.o.Event = func(e Event) {
		if c, ok := e.(Copied); ok {
			copied = c
		}
		if _, ok := e.(Started); ok {
			go s.Stop(t.Context())
		}
		event(e)
	}
	res, err := s.Run(t.Context())
	if err != nil || res.Reconnects != 1 {
		t.Fatalf("result %+v, %v", res, err)
	}
	if copied.Bytes != r.binary.Size || copied.Sent >= r.binary.Size-blockSize {
		t.Errorf("copied %+v of %d bytes", copied, r.binary.Size)
	}
	r.wantOnlyCache()
}

// dropOnce are options of a session whose connection is lost when most of its executable is sent.
func (r *rig) dropOnce() Options {
	o := r.options()
	dropped := false
	o.Event = func(e Event) {
		if c, ok := e.(Copying); ok && !dropped && c.Done > c.Total*3/4 {
			dropped = true
			r.server.DropAll()
		}
	}
	return o
}

// An initiator that was killed leaves a part, which the next goes on with, if it is any good.
func TestAbandonedPart(t *testing.T) {
	for name, spoil := range map[string]bool{"good": false, "bad": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sshtest.Options{})
			r.binary = paddedProgram(t, t.TempDir(), large)
			r.binary.Parcel = nil // or the time that it takes would decide what is sent
			text, err := os.ReadFile(r.binary.Path)
			must(t, err)
			if spoil {
				text[100]++
			}
			dir := filepath.Join(r.prefix, "cache", r.binary.SHA256)
			must(t, os.MkdirAll(dir, 0o700))
			part := filepath.Join(dir, ".spore-abandonedabandon")
			must(t, os.WriteFile(part, text[:large/2+12345], 0o600))
			then := time.Now().Add(-time.Hour)
			must(t, os.Chtimes(part, then, then))
			j := r.start(r.options())
			want := r.binary.Size - large/2
			if spoil {
				want += r.binary.Size
			}
			if got := waitEvent[Copied](j, 1).Sent; got != want {
				t.Errorf("%d bytes were sent, want %d", got, want)
			}
			waitEvent[Started](j, 1)
			j.stopped()
			r.wantOnlyCache()
		})
	}
}

// A slow way makes the executable travel compressed from there on.
func TestSlowWayCompresses(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	r.binary = paddedProgram(t, t.TempDir(), large)
	o := r.options()
	o.Bandwidth = rate.NewLimiter(slow/2, 64<<10)
	j := r.start(o)
	if got := waitEvent[Copied](j, 1); got.Bytes != r.binary.Size || got.Sent > r.binary.Size/2 {
		t.Errorf("copied %+v of %d bytes", got, r.binary.Size)
	}
	waitEvent[Started](j, 1)
	j.stopped()
	r.wantOnlyCache()
}

func TestParcelThatShrinks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "binary")
	must(t, os.WriteFile(path, make([]byte, blockSize+1), 0o600))
	p := NewParcel(path, blockSize+2)
	if _, err := io.ReadAll(p.from(0, func(int64) {})); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("error %v", err)
	}
}

func TestLimited(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	l := &limited{ctx, strings.NewReader(strings.Repeat("x", 100)), rate.NewLimiter(0, 30)}
	b := make([]byte, 100)
	if n, err := l.Read(b); n != 30 || err != nil {
		t.Errorf("read %d bytes, %v, want what is allowed at once", n, err)
	}
	cause := errors.New("over")
	cancel(cause)
	if _, err := l.Read(b); !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
}

// Of old executables those stay that were used last, or run.
func TestOldExecutablesGo(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	cached := func(digit string) string { return filepath.Join(r.prefix, "cache", strings.Repeat(digit, 64)) }
	for i, digit := range []string{"a", "b", "c", "d", "e"} {
		must(t, os.MkdirAll(cached(digit), 0o700))
		must(t, os.WriteFile(filepath.Join(cached(digit), "spore"), nil, 0o700))
		then := time.Now().Add(-time.Duration(i+2) * time.Hour)
		must(t, os.Chtimes(cached(digit), then, then))
	}
	running := exec.Command("sleep", "600")
	running.Args[0] = filepath.Join(cached("e"), "spore")
	must(t, running.Start())
	defer running.Wait()
	defer running.Process.Kill()
	j := r.start(r.options())
	waitEvent[Started](j, 1)
	gone := func(digit string) bool { _, err := os.Stat(cached(digit)); return err != nil }
	if !eventually(func() bool { return gone("c") && gone("d") }) || gone("a") || gone("b") || gone("e") {
		t.Errorf("the cache holds %q", listing(t, filepath.Join(r.prefix, "cache")))
	}
	j.stopped()
}
