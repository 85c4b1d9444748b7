package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"spore/engine"
)

// patience is how long a test waits for what has to come.
const patience = time.Minute

// A latest holds the last of a series of values, for a test to wait for the one it wants.
type latest[T any] struct {
	mu    sync.Mutex
	value T
	next  chan struct{}
}

func newLatest[T any]() *latest[T] { return &latest[T]{next: make(chan struct{})} }

func (l *latest[T]) set(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.value = v
	close(l.next)
	l.next = make(chan struct{})
}

func (l *latest[T]) get() T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value
}

func (l *latest[T]) wait(t *testing.T, what string, wanted func(T) bool) T {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		v, next := l.value, l.next
		l.mu.Unlock()
		if wanted(v) {
			return v
		}
		select {
		case <-next:
		case <-deadline:
			t.Fatalf("waited in vain until %s; last: %+v", what, v)
		}
	}
}

// A logbook is a slog handler that keeps what it is given.
type logbook struct {
	mu    sync.Mutex
	lines []slog.Record
}

func (b *logbook) Enabled(context.Context, slog.Level) bool { return true }
func (b *logbook) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *logbook) WithGroup(string) slog.Handler            { return b }

func (b *logbook) Handle(_ context.Context, r slog.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, r)
	return nil
}

// since returns what was logged at level and above.
func (b *logbook) since(level slog.Level) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	for _, r := range b.lines {
		if r.Level < level {
			continue
		}
		line := fmt.Sprintf("%v %s", r.Level, r.Message)
		r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
		lines = append(lines, line)
	}
	return lines
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// shortDir returns a new directory whose path is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func startServer(t *testing.T) *Server {
	t.Helper()
	return startServerWith(t, ServerOptions{Dir: shortDir(t), Log: discard(), NoSync: true})
}

func startServerWith(t *testing.T, o ServerOptions) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func adminOptions(s *Server) Options {
	return Options{Endpoints: []string{s.Endpoint()}, Credentials: s.Admin(), Log: discard()}
}

func openStore(t *testing.T, s *Server) *Store {
	t.Helper()
	store, err := Open(t.Context(), adminOptions(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// rootStore returns a store that remembers nobody it has admitted.
func rootStore(s *Server) *Store { return newStore(s.root, adminOptions(s)) }

func admit(t *testing.T, s *Server, host string, g Grants) Options {
	t.Helper()
	c, err := rootStore(s).Admit(t.Context(), s.Authority(), host, g)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Endpoints: []string{s.Endpoint()}, Credentials: c, Log: discard()}
}

func dial(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// eventually does what may fail for a while.
func eventually(t *testing.T, what string, do func() error) {
	t.Helper()
	deadline := time.After(patience)
	for {
		err := do()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		case <-time.After(retryPause):
		}
	}
}

// background runs f until the test ends and fails the test if f fails.
func background(t *testing.T, f func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

func follow(t *testing.T, s *Store) *latest[Fleet] {
	t.Helper()
	l := newLatest[Fleet]()
	background(t, func(ctx context.Context) error { return s.Follow(ctx, l.set) })
	return l
}

// collect collects kinds as "kind/host/name=spec".
func collect(t *testing.T, c *Client, kinds ...string) *latest[[]string] {
	t.Helper()
	l := newLatest[[]string]()
	background(t, func(ctx context.Context) error {
		return c.Collect(ctx, kinds, func(found []engine.Export) {
			list := []string{}
			for _, e := range found {
				list = append(list, fmt.Sprintf("%s/%s/%s=%s", e.Kind, e.Host, e.Name, e.Spec))
			}
			l.set(list)
		})
	})
	return l
}

func exports(kind string, names ...string) []engine.Export {
	var all []engine.Export
	for _, name := range names {
		spec, _ := json.Marshal(name)
		all = append(all, engine.Export{Kind: kind, Name: name, Spec: spec})
	}
	return all
}

// A link is a way to a server that can be cut.
type link struct {
	server *Server
	mu     sync.Mutex
	down   bool
	conns  []net.Conn
}

var errCut = errors.New("the link is cut")

func (l *link) dial(ctx context.Context) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, errCut
	}
	c, err := l.server.Dial(ctx)
	if err == nil {
		l.conns = append(l.conns, c)
	}
	return c, err
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}

func (l *link) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}
