package engine

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A host runs programs over things.
type host struct {
	*Runner
	t      *testing.T
	world  *fakeWorld
	log    *lines
	cancel context.CancelFunc
	ended  chan struct{}

	revision int64

	mu     sync.Mutex
	things map[string]*thing
	notes  []string // every call to a thing, in order
	events []Event
}

// inBubble runs f with a host. Time is virtual: it passes when nothing else can happen. When f has
// returned, the host is stopped, and nothing of it may be left.
func inBubble(t *testing.T, f func(t *testing.T, h *host), adapt ...func(*Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt...)
		defer h.stop()
		f(t, h)
	})
}

func newHost(t *testing.T, adapt ...func(*Config)) *host {
	h := &host{t: t, things: map[string]*thing{}, log: &lines{}, ended: make(chan struct{})}
	h.world = &fakeWorld{World: NewMemory().World("here")}
	cfg := Config{
		Kinds: NewKinds(
			NewKind("fake", "", func(name string, s fakeSpec, _ Env) (Resource, error) {
				return refreshable{h.open(name, s)}, h.opened(name)
			}),
			NewKind("plain", "", func(name string, s fakeSpec, _ Env) (Resource, error) { return h.open(name, s), h.opened(name) }),
		),
		Host: "here", World: h.world, Dir: "/nonexistent", Log: slog.New(slog.NewTextHandler(h.log, nil)),
		Observe: func(e Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, e)
		},
	}
	for _, f := range adapt {
		f(&cfg)
	}
	h.Runner = NewRunner(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	h.cancel = cancel
	go func() {
		defer close(h.ended)
		h.Run(ctx)
	}()
	return h
}

func (h *host) open(name string, s fakeSpec) *fake { return &fake{thing: h.thing(name), spec: s} }
func (h *host) opened(name string) error           { return h.thing(name).call(context.Background(), "open") }

func (h *host) stop() {
	h.cancel()
	<-h.ended
}

// thing returns the thing of that name. At first its value is empty.
func (h *host) thing(name string) *thing {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.things[name] == nil {
		h.things[name] = &thing{
			host: h, name: name, calls: map[string]int{}, hooks: map[string]func(context.Context) error{},
			changed: map[*fake]func(){},
		}
	}
	return h.things[name]
}

func (h *host) note(ctx context.Context, what string) {
	n := h.busy.n.Load()
	if n < 0 {
		h.t.Errorf("%s: busy is %d", what, n)
	}
	if run := strings.HasPrefix(what, "check") || strings.HasPrefix(what, "apply"); run && n < 1 && ctx.Err() == nil {
		h.t.Errorf("%s: not counted as busy", what)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, what)
}

func (h *host) swap(nodes ...decl) { h.swapProgram(program(nodes...)) }

func (h *host) swapProgram(p *Program) {
	h.t.Helper()
	h.revision++
	if err := h.Swap(p, h.revision); err != nil {
		h.t.Fatal(err)
	}
	if s := h.Status(); s.Settled && s.Revision != h.revision {
		h.t.Error("settled between a swap and its being dealt with")
	}
}

// settle waits until the host is settled for good, however much time must pass.
func (h *host) settle() {
	h.t.Helper()
	h.settleOnce()
	if synctest.Wait(); !h.Status().Settled {
		h.t.Fatal("settled, but not for good")
	}
}

// settleOnce waits until the host is settled.
func (h *host) settleOnce() {
	h.t.Helper()
	for limit := time.After(24 * time.Hour); !h.Status().Settled; {
		select {
		case <-h.Moved():
		case <-limit:
			h.t.Fatalf("never settled: busy is %d, counts %+v, notes %v", h.busy.n.Load(), h.Status().Counts, h.recent())
		}
	}
}

// unsettled waits until nothing happens without time passing, and checks that this does not settle it.
func (h *host) unsettled() {
	h.t.Helper()
	synctest.Wait()
	if h.Status().Settled {
		h.t.Error("settled too early")
	}
}

// pass lets virtual time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (h *host) recent() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.notes[max(0, len(h.notes)-20):])
}

// calls returns the calls of one sort that were made so far, in order.
func (h *host) calls(sort string) (names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.notes {
		if rest, ok := strings.CutPrefix(n, sort+" "); ok {
			names = append(names, rest)
		}
	}
	return names
}

// forget empties the notes and events, so that what follows can be told apart.
func (h *host) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes, h.events = nil, nil
}

// told returns the events in words, without their times.
func (h *host) told() (words []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		w := e.Resource.String() + " " + string(e.State)
		for _, c := range e.Changes {
			w += " [" + c.String() + "]"
		}
		if e.Refresh {
			w += " refreshed"
		}
		if e.Err != "" {
			w += ": " + e.Err
		}
		words = append(words, w)
	}
	return words
}

func (h *host) wantTold(want ...string) {
	h.t.Helper()
	if got := h.told(); !slices.Equal(got, want) {
		h.t.Errorf("events:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (h *host) wantNotes(want ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.notes, want) {
		h.t.Errorf("calls: %v\nwant:  %v", h.notes, want)
	}
}

func (h *host) wantCounts(want Counts) {
	h.t.Helper()
	if got := h.Status().Counts; got != want {
		h.t.Errorf("counts: %+v, want %+v", got, want)
	}
}

func wantCalls(t *testing.T, x *thing, want map[string]int) {
	t.Helper()
	for _, call := range slices.Sorted(maps.Keys(want)) {
		if got := x.count(call); got != want[call] {
			t.Errorf("%s was called %d times on %s, want %d", call, got, x.name, want[call])
		}
	}
}

// lines is a log that can be searched.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}
