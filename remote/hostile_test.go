package remote

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spore/internal/sshtest"
)

// TestFlood has an agent that writes lines without end, and more than anybody can read: it is
// stopped like any other, and no line is longer than may be.
func TestFlood(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	o := r.options()
	const flood = `echo "agent: hello $$"; head -c 5000000 /dev/zero | tr '\0' x; echo; ` +
		`head -c 5000000 /dev/zero | tr '\0' x >&2; yes '{"type":"log","message":"again"}'`
	o.Args = func(Paths) []string { return []string{"/bin/sh", "-c", flood} }
	j := r.start(o)
	j.wait("many lines", func() bool { return len(j.lines) > 10_000 })
	j.cancel()
	if _, err := j.end(); err == nil {
		t.Error("a session that was cut short has no error")
	}
	longest := 0
	for _, l := range append(j.lines, j.errs...) {
		longest = max(longest, len(l))
	}
	if longest != maxLine {
		t.Errorf("the longest line has %d bytes, want %d", longest, maxLine)
	}
	r.wantOnlyCache()
}

// TestManyConnections has a host open more connections to the store than it needs.
func TestManyConnections(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	j := r.start(r.options())
	waitEvent[Started](j, 1)
	socket := strings.TrimPrefix(waitEvent[Forwarded](j, 1).Store, "unix://")
	ended := make(chan struct{}, 2*maxCarried)
	for range 2 * maxCarried {
		c, err := net.Dial("unix", socket)
		must(t, err)
		defer c.Close()
		go func() {
			_, _ = io.Copy(io.Discard, c)
			ended <- struct{}{}
		}()
	}
	for n := range maxCarried {
		select {
		case <-ended:
		case <-time.After(deadline):
			t.Fatalf("%d of %d connections were refused, want %d or more", n, 2*maxCarried, maxCarried)
		}
	}
	j.stopped()
}

// TestEndlessCache has a host give more than it should when the cached binary is read back.
func TestEndlessCache(t *testing.T) {
	r := newRig(t, sshtest.Options{Env: []string{"PATH=" + onlyTool(t, "") + ":/usr/bin:/bin"}})
	bin := filepath.Join(r.prefix, "cache", r.binary.SHA256, "spore")
	must(t, os.MkdirAll(filepath.Dir(bin), 0o700))
	f, err := os.OpenFile(bin, os.O_CREATE|os.O_WRONLY, 0o700)
	must(t, err)
	must(t, f.Truncate(1<<40)) // as long as any, without taking room
	must(t, f.Close())
	j := r.start(r.options())
	waitEvent[Started](j, 1)
	if waitEvent[Probed](j, 1).Cached || !saw[Warning](j) {
		t.Errorf("the poisoned cache was used:\n%s", j.story())
	}
	j.stopped()
}
