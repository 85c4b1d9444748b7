package resident

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"spore/engine"
	"spore/etcd"
	"spore/internal/agent"
	"spore/internal/fswatch"
	"spore/internal/secret"
	"spore/resources"
)

// A plot is a host of a detached fleet whose store is in this process.
type plot struct {
	*testing.T
	Layout
	dir       string // for what graphs declare
	server    *etcd.Server
	store     *etcd.Store
	kinds     engine.Kinds
	services  *hands
	recipient string
	states    chan etcd.Fleet

	mu    sync.Mutex
	clock time.Time // zero: the real one
}

func newPlot(t *testing.T) *plot {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	base := shortDir(t)
	p := &plot{T: t, Layout: Layout{Root: filepath.Join(base, "spore")}, dir: base, states: make(chan etcd.Fleet, 1)}
	p.services = &hands{running: map[string]bool{}}
	data := filepath.Join(base, "store")
	p.must(os.Mkdir(data, 0o700))
	var err error
	p.server, err = etcd.Start(t.Context(), etcd.ServerOptions{Dir: data, Log: quiet, NoSync: true})
	p.must(err)
	t.Cleanup(func() { p.server.Close() })
	p.store, err = etcd.Open(t.Context(), etcd.Options{Endpoints: []string{p.server.Endpoint()}, Credentials: p.server.Admin(), Log: quiet})
	p.must(err)
	t.Cleanup(func() { p.store.Close() })
	hub := fswatch.New(quiet)
	t.Cleanup(func() { hub.Close() })
	p.kinds = resources.Kinds(hub)
	p.install()
	go func() {
		_ = p.store.Follow(t.Context(), func(f etcd.Fleet) {
			select {
			case <-p.states:
			default:
			}
			p.states <- f
		})
	}()
	return p
}

func (p *plot) install() {
	p.Helper()
	credentials := p.admit(etcd.Grants{Resident: true, Exports: []string{"file"}})
	p.must(makeDir(p.Root))
	p.must(makeDir(p.Dir()))
	p.must(writeJSON(p.config(), Config{
		Cluster: "id-1", Name: "garden", Host: "h", Peer: "127.0.0.1:7480", Endpoints: []string{p.server.Endpoint()},
	}))
	p.must(writeJSON(p.credentials(), credentials))
	var err error
	p.recipient, err = p.makeIdentity()
	p.must(err)
}

func (p *plot) admit(g etcd.Grants) etcd.Credentials {
	p.Helper()
	c, err := p.store.Admit(p.Context(), p.server.Authority(), "h", g)
	p.must(err)
	return c
}

func (p *plot) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *plot) await(what string, done func() bool) {
	p.Helper()
	if !eventually(p.Context(), patience, done) {
		_ = Logs(p.Context(), p.Layout, LogsOptions{Lines: 30}, os.Stderr)
		p.Fatalf("waited in vain until %s", what)
	}
}

// put makes g the host's graph.
func (p *plot) put(g etcd.Graph) {
	p.Helper()
	_, err := p.store.PutGraph(p.Context(), "h", g)
	p.must(err)
}

// converged waits until the host is, and returns its report.
func (p *plot) converged() etcd.HostState {
	p.Helper()
	deadline := time.After(patience)
	for {
		select {
		case f := <-p.states:
			if f.Converged([]string{"h"}) {
				return f.Hosts["h"]
			}
		case <-deadline:
			p.Fatal("waited in vain for convergence")
		}
	}
}

func (p *plot) now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clock.IsZero() {
		return time.Now()
	}
	return p.clock
}

// path is that of a file that graphs declare.
func (p *plot) path(name string) string { return filepath.Join(p.dir, name) }

// file is a graph of one file.
func (p *plot) file(name, content string) etcd.Graph {
	return etcd.Graph{Name: "g", Text: fmt.Sprintf("resources:\n  file:\n  - name: %s\n    content: %q\n", p.path(name), content)}
}

func (p *plot) holds(name, content string) func() bool {
	return func() bool {
		text, err := os.ReadFile(p.path(name))
		return err == nil && string(text) == content
	}
}

// A process is an agent that runs.
type process struct {
	*plot
	cancel context.CancelFunc
	done   chan error
}

// start runs the host's agent.
func (p *plot) start() *process {
	ctx, cancel := context.WithCancel(p.Context())
	r := &process{plot: p, cancel: cancel, done: make(chan error, 1)}
	go func() {
		r.done <- RunAgent(ctx, p.Layout, AgentOptions{Kinds: p.kinds, Version: "v1", Services: p.services, Now: p.now})
	}()
	p.Cleanup(func() {
		cancel()
		select {
		case err := <-r.done:
			if err != nil {
				p.Errorf("the agent ended with %v", err)
			}
		case <-time.After(patience):
			p.Error("the agent does not end")
		}
	})
	return r
}

// end ends the agent as systemd does.
func (r *process) end() {
	r.Helper()
	r.cancel()
	r.ended()
}

func (r *process) ended() {
	r.Helper()
	select {
	case err := <-r.done:
		r.must(err)
		r.done <- nil
	case <-time.After(patience):
		r.Fatal("the agent does not end")
	}
}

func (p *plot) status() agent.Status {
	s, _ := agent.Ask(p.Context(), p.Dir())
	return s
}

// hands are Services that only note what they are told.
type hands struct {
	Services
	mu      sync.Mutex
	running map[string]bool
}

func (h *hands) Start(_ context.Context, service string) error { return h.set(service, true) }
func (h *hands) Stop(_ context.Context, service string) error  { return h.set(service, false) }

func (h *hands) set(service string, running bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running[service] = running
	return nil
}

func (h *hands) Running(_ context.Context, service string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running[service], nil
}

// shortDir returns a new directory whose path is short enough for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "plot")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// seal encrypts what references stand for, for the host.
func (p *plot) seal(json string) []byte {
	p.Helper()
	text, err := secret.Encrypt(p.recipient, []byte(json))
	p.must(err)
	return text
}
