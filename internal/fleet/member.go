package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/agent"
	"spore/internal/view"
	"spore/remote"
)

// graphDir is where in the run directory the graph lies, with the files that travel with it.
const graphDir = "graph"

// A member is one host of a running fleet.
type member struct {
	fleet    *fleet
	name     string
	host     Host
	manifest *manifest.Manifest // the latest good one; guarded by fleet.editor
	log      *slog.Logger
	edited   chan struct{} // capacity 1: wanted is new

	mu       sync.Mutex
	session  *remote.Session
	stopped  bool               // no session is to begin any more
	wanted   *manifest.Manifest // the latest edit
	behind   bool               // the host does not have it yet
	linked   bool               // its agent runs and can be reached
	ended    bool               // its session is over
	err      error
	last     int64  // Seq of the agent's last record
	farewell string // what the agent's last record said
	garbled  int    // lines of the agent that were no records
	sent     int64
	took     time.Duration
	changed  int            // resources that an agent of this run has changed there
	final    etcd.HostState // how the store knew the host when the run came to its end
}

// run brings the agent to the host and stays with it until its end. ready is called once, when the
// agent runs or never will.
func (m *member) run(ctx context.Context, ready func()) {
	defer ready()
	result, err := m.bring(ctx, ready)
	if err == nil && result.ExitCode != 0 && m.isFinal(result.ExitCode) {
		err = errors.New(m.lastWords())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended, m.linked, m.sent, m.took = true, false, result.BytesSent, time.Since(m.fleet.start)
	if err != nil && ctx.Err() == nil && !m.fleet.stopping.Load() {
		m.err = err
		m.log.Error("host failed", "err", err)
	}
	m.fleet.poke()
}

// isFinal reports whether an agent that ended with code would do so again: it has done its job, or has
// said why it cannot.
func (m *member) isFinal(code int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return code == 0 || code == agent.ExitBusy || code == agent.ExitError && m.farewell != ""
}

func (m *member) lastWords() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return cmp.Or(m.farewell, "agent ended without saying why")
}

func (m *member) bring(ctx context.Context, ready func()) (remote.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	known := m.introduce(ctx) // while the connection is being made
	defer func() {
		cancel()
		<-known.done
	}()
	session := remote.New(m.host.Target, m.fleet.Dialer, remote.Options{
		Prefix: m.path(m.fleet.Prefix), TmpPrefix: m.path(m.fleet.TmpPrefix), ConnectTimeout: m.fleet.ConnectTimeout, NoCache: m.fleet.NoCache,
		Become: m.fleet.Become, Executable: m.fleet.Executable, Bandwidth: m.fleet.Bandwidth,
		Files: slices.Concat(files(m.host.Manifest.Files), secretsFile(m.host.Manifest), []remote.File{graphFile(m.host.Manifest)}),
		Dial:  m.dialStore,
		Args:  m.args, Attach: m.attach, Bridge: bridge,
		Stdin: known.wait, Marker: view.Marker, StopLine: agent.StopLine,
		Final:  m.isFinal,
		Tidy:   true,
		Output: m.output, Stderr: m.stderr,
		Event: func(e remote.Event) { m.event(e, ready) },
	})
	if !m.begin(session) {
		return remote.Result{}, nil
	}
	edits, end := context.WithCancel(ctx)
	var delivery sync.WaitGroup
	delivery.Go(func() {
		if _, err := known.wait(edits); err == nil {
			m.deliver(edits, session)
		}
	})
	defer delivery.Wait()
	defer end()
	return session.Run(ctx)
}

// begin makes session the host's, unless stop has come first. One that has begun has to be run: stop
// waits for its end.
func (m *member) begin(session *remote.Session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.stopped {
		m.session = session
	}
	return !m.stopped
}

// put writes a graph of the host's to the store.
func (m *member) put(ctx context.Context, g *manifest.Manifest) error {
	store, _ := m.fleet.current()
	revision, err := store.PutGraph(ctx, m.name, etcd.Graph{Name: g.Name, Text: string(g.Travels), Files: g.Digest()})
	if err != nil {
		return fmt.Errorf("write graph: %w", err)
	}
	m.fleet.written(revision)
	return nil
}

// args is the agent's command line: one that a person could have typed.
func (m *member) args(p remote.Paths) []string {
	args := []string{
		p.Binary, "run", "--hostname", m.name, "--no-server", "--seeds", p.Store,
		"--file", path.Join(p.Run, graphDir, filepath.Base(m.host.Manifest.File)), "--depth", "1",
		"--dir", p.Run, "--credentials", "-", "--orphan-timeout", m.fleet.Orphan.String(),
		"--owner", m.fleet.Owner, "--json", "--log-level", m.fleet.LogLevel.String(),
	}
	if m.fleet.Noop {
		args = append(args, "--noop")
	}
	return args
}

func (m *member) attach(p remote.Paths) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return []string{p.Binary, "attach", "--since", fmt.Sprint(m.last), p.Run}
}

// path puts the host's name into a path that asks for it.
func (m *member) path(p string) string { return strings.ReplaceAll(p, "%h", url.PathEscape(m.name)) }

func bridge(p remote.Paths) []string {
	return []string{p.Binary, "bridge", path.Join(p.Run, "store.sock")}
}
