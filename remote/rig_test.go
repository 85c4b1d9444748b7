package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spore/internal/sshtest"
	"spore/remote/dial"
)

// deadline bounds every wait of these tests; reaching it is a failure.
const deadline = time.Minute

// A rig is a host to run sessions on, and what they need here.
type rig struct {
	t      *testing.T
	server *sshtest.Server
	dialer *dial.Dialer
	target dial.Target
	home   string // of the host
	prefix string // on the host; not made yet
	binary Binary
	store  net.Listener
}

func newRig(t *testing.T, opts sshtest.Options) *rig {
	t.Helper()
	leakCheck(t)
	r := &rig{t: t, home: t.TempDir()}
	r.prefix = filepath.Join(r.home, "its prefix")
	opts.Dir, opts.Password = r.home, "swordfish"
	var err error
	if r.server, err = sshtest.Start(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.server.Close() })
	here := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(here, ".ssh"), 0o700))
	must(t, os.WriteFile(filepath.Join(here, ".ssh", "known_hosts"), []byte(r.server.KnownHostsLine()), 0o600))
	r.dialer = &dial.Dialer{Config: "none", Home: here, System: here, Getenv: func(string) string { return "" }}
	host, port, err := net.SplitHostPort(r.server.Addr())
	must(t, err)
	r.target = dial.Target{User: "me", Host: host, Port: port, Password: "swordfish"}
	r.binary = program(t, here)
	r.store = store(t)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// leakCheck fails the test if in the end more goroutines are left than there were.
func leakCheck(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		if eventually(func() bool { return runtime.NumGoroutine() <= before }) {
			return
		}
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines are left, there were %d:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
	})
}

// eventually polls for what has no channel to wait on.
func eventually(ok func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); time.Now().Before(end); <-tick.C {
		if ok() {
			return true
		}
	}
	return ok()
}

func (r *rig) options(flags ...string) Options {
	return Options{
		Prefix:     r.prefix,
		Executable: func(goos, goarch string) (Binary, error) { return r.binary, nil },
		Files:      []File{text("graph.yaml", "graph: it\n"), text("tree/deep/file", "deep")},
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", r.store.Addr().String())
		},
		Args: func(p Paths) []string {
			return append([]string{p.Binary, "run", p.Run, p.Store}, flags...)
		},
		Attach: func(p Paths) []string { return []string{p.Binary, "attach", p.Run} },
		Bridge: func(p Paths) []string {
			return []string{p.Binary, "tunnel", strings.TrimPrefix(p.Store, "unix://")}
		},
		Stdin:    func(context.Context) ([]byte, error) { return []byte("secret\nask\n"), nil },
		Marker:   "agent: ",
		StopLine: "stop",
		Final:    func(code int) bool { return code == 0 || code == 2 },
	}
}

// A job is a session under way and all that it has reported.
type job struct {
	*Session
	t      *testing.T
	cancel context.CancelFunc
	over   chan struct{} // closed when res and err are there
	res    Result
	err    error

	mu     sync.Mutex
	news   chan struct{}
	events []Event
	lines  []string
	errs   []string
}

func (r *rig) start(o Options) *job { return r.startHooked(o, nil) }

func (r *rig) startHooked(o Options, hook func(*job, Event)) *job {
	ctx, cancel := context.WithCancel(context.Background())
	j := &job{t: r.t, cancel: cancel, over: make(chan struct{}), news: make(chan struct{})}
	o.Event = func(e Event) {
		j.note(func() { j.events = append(j.events, e) })
		if hook != nil {
			hook(j, e)
		}
	}
	o.Output = func(l string) { j.note(func() { j.lines = append(j.lines, l) }) }
	o.Stderr = func(l string) { j.note(func() { j.errs = append(j.errs, l) }) }
	j.Session = New(r.target, r.dialer, o)
	go func() {
		defer close(j.over)
		j.res, j.err = j.Run(ctx)
	}()
	r.t.Cleanup(func() {
		cancel()
		<-j.over
	})
	return j
}

func (j *job) note(f func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f()
	close(j.news)
	j.news = make(chan struct{})
}

// wait waits until seen holds of all that was reported.
func (j *job) wait(what string, seen func() bool) {
	j.t.Helper()
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	for {
		j.mu.Lock()
		ok, news := seen(), j.news
		j.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-j.over:
			j.mu.Lock()
			ok := seen()
			j.mu.Unlock()
			if !ok {
				j.t.Fatalf("the session ended without %s: %v\n%s", what, j.err, j.story())
			}
			return
		case <-timer.C:
			j.t.Fatalf("no %s within %v\n%s", what, deadline, j.story())
		}
	}
}

func (j *job) waitLine(line string, times int) {
	j.t.Helper()
	j.wait("line "+line, func() bool { return count(j.lines, line) >= times })
}

func count(lines []string, line string) (n int) {
	for _, l := range lines {
		if l == line {
			n++
		}
	}
	return n
}

// waitEvent waits for the nth event of e's type and returns it.
func waitEvent[E Event](j *job, nth int) (found E) {
	j.t.Helper()
	j.wait(fmt.Sprintf("%T", found), func() bool {
		n := 0
		for _, e := range j.events {
			if got, ok := e.(E); ok {
				if n++; n == nth {
					found = got
					return true
				}
			}
		}
		return false
	})
	return found
}

func saw[E Event](j *job) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.events, func(e Event) bool { _, ok := e.(E); return ok })
}

func (j *job) story() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	for _, e := range j.events {
		fmt.Fprintf(&b, "%T: %s\n", e, e)
	}
	return b.String() + strings.Join(j.lines, "\n") + "\n" + strings.Join(j.errs, "\n")
}

// end waits for the end of the session.
func (j *job) end() (Result, error) {
	j.t.Helper()
	select {
	case <-j.over:
	case <-time.After(deadline):
		j.t.Fatalf("the session does not end\n%s", j.story())
	}
	return j.res, j.err
}

// stopped stops the session in good order and returns its result.
func (j *job) stopped() Result {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	j.Stop(ctx)
	res, err := j.end()
	if err != nil {
		j.t.Fatalf("Run: %v\n%s", err, j.story())
	}
	return res
}

// pids are those of the agents that said hello, in order.
func (j *job) pids() (pids []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.lines {
		if pid, ok := strings.CutPrefix(l, "agent: hello "); ok {
			pids = append(pids, pid)
		}
	}
	return pids
}

// listing is all that lies below dir, without dir.
func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir && err == nil {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, rel)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

// wantOnlyCache checks that a session left the executable in its cache and nothing else.
func (r *rig) wantOnlyCache() {
	r.t.Helper()
	got := listing(r.t, r.prefix)
	want := []string{"cache", "cache/" + r.binary.SHA256, "cache/" + r.binary.SHA256 + "/spore"}
	if !slices.Equal(got, want) {
		r.t.Errorf("the host holds %q, want %q", got, want)
	}
}

// wantNothing checks that a session left nothing at all. A script that was cut short undoes its
// work on its own, at the pace of the host.
func (r *rig) wantNothing() {
	r.t.Helper()
	if !eventually(func() bool { return len(listing(r.t, r.home)) == 0 }) {
		r.t.Errorf("the host holds %q, want nothing", listing(r.t, r.home))
	}
}
