package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"spore/internal/resident"
	"spore/remote"
)

// A host of a test answers verbs as its fields say, and keeps what it was asked.
type host struct {
	info     resident.Info
	login    error             // why it lets nobody in
	fails    map[string]string // verbs that fail, and what they say
	bare     bool              // no binary resides there
	digest   string            // of the binary that Install leaves
	onVerb   func(verb string) // called when a verb succeeds
	answered map[string]any    // answers by verb

	mu    sync.Mutex
	asked []string
}

func (h *host) connect(context.Context, HostRecord) (Conn, error) {
	if h.login != nil {
		return nil, h.login
	}
	return hostConn{h}, nil
}

func (h *host) verbs() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.asked)
}

type hostConn struct{ *host }

const cachedBinary = "/var/lib/spore/cache/abc/spore"

func (c hostConn) Run(_ context.Context, _ io.Reader, argv ...string) ([]byte, error) {
	if c.bare && argv[0] != cachedBinary {
		return nil, &remote.ProgramError{Program: argv[0], Code: notFound, Stderr: []string{"not found"}}
	}
	line := strings.Join(argv[2:], " ")
	c.mu.Lock()
	c.asked = append(c.asked, line)
	c.mu.Unlock()
	if why, ok := c.fails[argv[2]]; ok {
		return nil, &remote.ProgramError{Program: argv[0], Code: 2, Stderr: []string{"noise", "spore: " + why}}
	}
	if c.onVerb != nil {
		c.onVerb(argv[2])
	}
	if argv[2] == "info" {
		return json.Marshal(c.info)
	}
	return json.Marshal(c.answered[argv[2]])
}

func (c hostConn) Install(context.Context) (string, string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, "(install)")
	return cachedBinary, c.digest, nil
}

func (c hostConn) Stream(context.Context, ...string) (net.Conn, error) {
	return nil, fmt.Errorf("no stream was expected")
}
func (c hostConn) Lost() <-chan struct{} { return nil }
func (c hostConn) Close() error          { return nil }

// connectTo returns what logs in to hosts by name.
func connectTo(hosts map[string]*host) func(context.Context, HostRecord) (Conn, error) {
	return func(ctx context.Context, h HostRecord) (Conn, error) { return hosts[h.Name].connect(ctx, h) }
}

func connTo(hosts map[string]*host) func(context.Context, string) (Conn, error) {
	return func(ctx context.Context, name string) (Conn, error) { return hosts[name].connect(ctx, HostRecord{}) }
}

// own are hosts of the sample cluster.
func own(record Record, names ...string) map[string]*host {
	hosts := map[string]*host{}
	for _, name := range names {
		hosts[name] = &host{info: resident.Info{Cluster: record.Cluster.ID, Host: name, Store: resident.StoreMember}}
	}
	return hosts
}

// told collects what is told of hosts.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (l *told) tell(host, format string, a ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, host+": "+fmt.Sprintf(format, a...))
}

func (l *told) wants(t *testing.T, lines ...string) {
	t.Helper()
	if !slices.Equal(l.lines, lines) {
		t.Errorf("told\n  %s\nwant\n  %s", strings.Join(l.lines, "\n  "), strings.Join(lines, "\n  "))
	}
}
