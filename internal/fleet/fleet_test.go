package fleet

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"spore/engine"
	"spore/engine/manifest"
	"spore/internal/fswatch"
	"spore/internal/view"
	"spore/remote"
	"spore/remote/dial"
	"spore/resources"
)

const patience = time.Minute

func wait[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
	return v
}

func kinds(t *testing.T) engine.Kinds {
	hub := fswatch.New(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { hub.Close() })
	return resources.Kinds(hub)
}

// load reads a graph from its text.
func load(t *testing.T, name, text string) *manifest.Manifest {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Load(path, manifest.Options{Kinds: kinds(t)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A dialer is a function as a remote.Dialer.
type dialer func(ctx context.Context, t dial.Target) (*dial.Client, error)

func (d dialer) Dial(ctx context.Context, t dial.Target) (*dial.Client, error) { return d(ctx, t) }

// hang is a host that never answers; it tells of each that is being dialled.
func hang(dialled chan<- string) dialer {
	return func(ctx context.Context, t dial.Target) (*dial.Client, error) {
		dialled <- t.Host
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
}

// refuse is a host where nobody listens.
func refuse(context.Context, dial.Target) (*dial.Client, error) {
	return nil, errors.New("connection refused")
}

// records keeps what a run tells.
type records struct {
	mu  sync.Mutex
	all []view.Record
}

func (r *records) Emit(rec view.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, rec)
}

func (r *records) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, rec := range r.all {
		b.WriteString(rec.Host + ": " + rec.Message + " " + rec.Attrs["err"] + rec.Attrs["line"] + "\n")
	}
	return b.String()
}

// options are those of a run on the hosts called a, b and c.
func options(t *testing.T, d remote.Dialer) (Options, *records) {
	t.Helper()
	m := load(t, "g.yaml", "remote: [a, b, c]\n")
	hosts, err := Hosts([]*manifest.Manifest{m}, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	told := &records{}
	return Options{
		Hosts: hosts, Kinds: kinds(t), Dialer: d, Concurrency: 10, ConnectTimeout: 10 * time.Millisecond,
		Executable: func(string, string) (remote.Binary, error) { return remote.Binary{}, errors.New("no binary") },
		Store:      Embedded, Timeout: -1, StopBound: patience, Log: view.NewLogger(told, slog.LevelInfo), Sink: told,
	}, told
}

type result struct {
	Outcome
	err error
}

// start runs o, until ctx, or kill, is done.
func start(ctx, kill context.Context, o Options) <-chan result {
	c := make(chan result, 1)
	go func() {
		outcome, err := Run(ctx, kill, o)
		c <- result{outcome, err}
	}()
	return c
}

func (o Outcome) states() string {
	var words []string
	for _, r := range o.Recaps {
		words = append(words, r.Host+" "+r.State)
	}
	return strings.Join(words, ", ")
}

// A run ends by itself when no host is left.
func TestEveryHostFails(t *testing.T) {
	o, told := options(t, dialer(refuse))
	r := wait(t, start(t.Context(), t.Context(), o), "the end")
	if r.err != nil || r.Interrupted || !r.Unreachable() || r.Failed() {
		t.Errorf("ended with %+v", r)
	}
	if got := r.states(); got != "a unreachable, b unreachable, c unreachable" {
		t.Errorf("the hosts are %s", got)
	}
	if !strings.Contains(told.text(), "b: host failed connect: connection refused") {
		t.Errorf("told:\n%s", told.text())
	}
}

func TestInterruptedWhileConnecting(t *testing.T) {
	dialled := make(chan string, 3)
	o, told := options(t, hang(dialled))
	o.ConnectTimeout = time.Hour
	ctx, interrupt := context.WithCancel(t.Context())
	ended := start(ctx, t.Context(), o)
	for range o.Hosts {
		wait(t, dialled, "a connection to be tried")
	}
	interrupt()
	r := wait(t, ended, "the end")
	if r.err != nil || !r.Interrupted || r.states() != "a interrupted, b interrupted, c interrupted" {
		t.Errorf("ended with %+v", r)
	}
	if strings.Contains(told.text(), "host failed") {
		t.Errorf("an interrupt was told as a failure:\n%s", told.text())
	}
}

// Hosts that wait for their turn are not tried any more.
func TestInterruptedBeforeConnecting(t *testing.T) {
	dialled := make(chan string, 3)
	o, _ := options(t, hang(dialled))
	o.ConnectTimeout, o.Concurrency = time.Hour, 1
	ctx, interrupt := context.WithCancel(t.Context())
	ended := start(ctx, t.Context(), o)
	wait(t, dialled, "a connection to be tried")
	interrupt()
	if r := wait(t, ended, "the end"); r.states() != "a interrupted, b interrupted, c interrupted" {
		t.Errorf("ended with %+v", r)
	}
	if len(dialled) != 0 {
		t.Errorf("%s was tried after the end", <-dialled)
	}
}

func TestKilledWhileConnecting(t *testing.T) {
	dialled := make(chan string, 3)
	o, _ := options(t, hang(dialled))
	o.ConnectTimeout, o.StopBound = time.Hour, time.Hour
	kill, killNow := context.WithCancel(t.Context())
	ended := start(kill, kill, o)
	wait(t, dialled, "a connection to be tried")
	killNow()
	if r := wait(t, ended, "the end"); r.err != nil || !r.Interrupted {
		t.Errorf("ended with %+v", r)
	}
}

func TestStoreDoesNotOpen(t *testing.T) {
	o, told := options(t, hang(make(chan string, 3)))
	o.ConnectTimeout = time.Hour
	o.Store = func(context.Context, *slog.Logger) (*Store, error) { return nil, errors.New("no space left") }
	r := wait(t, start(t.Context(), t.Context(), o), "the end")
	if r.err == nil || r.err.Error() != "open store: no space left" {
		t.Errorf("ended with %v", r.err)
	}
	if strings.Contains(told.text(), "host failed") {
		t.Errorf("the store's trouble was told as the hosts':\n%s", told.text())
	}
}

func TestStoreEnds(t *testing.T) {
	dialled := make(chan string, 3)
	o, _ := options(t, hang(dialled))
	o.ConnectTimeout = time.Hour
	gone := make(chan struct{})
	o.Store = func(ctx context.Context, log *slog.Logger) (*Store, error) {
		s, err := Embedded(ctx, log)
		if err == nil {
			s.Done, s.Err = gone, func() error { return errors.New("disk full") }
		}
		return s, err
	}
	ended := start(t.Context(), t.Context(), o)
	wait(t, dialled, "a connection to be tried")
	close(gone)
	if r := wait(t, ended, "the end"); r.err == nil || r.err.Error() != "store ended: disk full" {
		t.Errorf("ended with %v", r.err)
	}
}

func TestEmbeddedLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s, err := Embedded(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) != 1 {
		t.Errorf("%d entries, want the store's", len(left))
	} else if info, _ := left[0].Info(); info.Mode().Perm() != 0o700 {
		t.Errorf("the store's directory is %v", info.Mode())
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
