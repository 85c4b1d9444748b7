package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/fswatch"
	"spore/internal/view"
	"spore/resources"
)

// A depot is an embedded store as the operator has it.
type depot struct {
	*etcd.Store
	server   *etcd.Server
	endpoint string // what agents are told
	states   chan etcd.Fleet
}

func newDepot(t *testing.T) *depot {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	server, err := etcd.Start(t.Context(), etcd.ServerOptions{Dir: shortDir(t), Log: quiet, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	store, err := etcd.Open(t.Context(), etcd.Options{Endpoints: []string{server.Endpoint()}, Credentials: server.Admin(), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	d := &depot{Store: store, server: server, endpoint: server.Endpoint(), states: make(chan etcd.Fleet, 1)}
	go func() {
		_ = store.Follow(t.Context(), func(f etcd.Fleet) {
			select {
			case <-d.states:
			default:
			}
			d.states <- f
		})
	}()
	return d
}

// put makes text the graph of host h.
func (d *depot) put(t *testing.T, text string) {
	t.Helper()
	if _, err := d.PutGraph(t.Context(), "h", etcd.Graph{Text: text}); err != nil {
		t.Fatal(err)
	}
}

// converged waits until host h is.
func (d *depot) converged(t *testing.T) etcd.Report {
	t.Helper()
	for {
		if f := wait(t, d.states, "convergence"); f.Converged([]string{"h"}) {
			return f.Hosts["h"].Report
		}
	}
}

func wait[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
	return v
}

// A service is an agent that is being served, as host h.
type service struct {
	dir     string
	stdin   *io.PipeWriter
	records chan view.Record
	code    chan int
}

// serve starts an agent with its directory in base.
func serve(t *testing.T, d *depot, base, id, graph string, orphan time.Duration) *service {
	t.Helper()
	s := &service{dir: runDir(t, base, id).Dir, records: make(chan view.Record, 1024), code: make(chan int, 1)}
	credentials, err := d.Admit(t.Context(), d.server.Authority(), "h", etcd.Grants{})
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(credentials)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.dir, "g.yaml")
	if err := os.WriteFile(file, []byte(graph), 0o600); err != nil {
		t.Fatal(err)
	}
	hub := fswatch.New(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { hub.Close() })
	kinds := resources.Kinds(hub)
	m, err := manifest.Load(file, manifest.Options{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	in, stdin := io.Pipe()
	out, stdout := io.Pipe()
	s.stdin = stdin
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		s.code <- Serve(ctx, ServeOptions{
			Options: Options{Manifest: m, Kinds: kinds, Host: "h", Dir: s.dir, Version: "v1"},
			Vault:   &Vault{Dir: s.dir}, Seeds: []string{d.endpoint}, Owner: "ann@laptop", Orphan: orphan, In: in, Out: stdout, LogLevel: slog.LevelInfo,
		})
		stdout.Close()
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.listen(out)
	}()
	t.Cleanup(func() { cancel(); stdin.Close(); <-done })
	s.say(t, string(line))
	return s
}

func (s *service) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var r view.Record
		if json.Unmarshal(lines.Bytes(), &r) == nil {
			s.records <- r
		}
	}
	close(s.records)
}

func (s *service) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(s.stdin, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// last returns the last record of all.
func (s *service) last() (last view.Record) {
	for r := range s.records {
		last = r
	}
	return last
}

func fileGraph(path, content string) string {
	return "resources:\n  file:\n  - name: " + path + "\n    content: " + content + "\n"
}

func TestServe(t *testing.T) {
	d, base := newDepot(t), shortDir(t)
	path := filepath.Join(base, "out")
	s := serve(t, d, base, "1", fileGraph(path, "one"), time.Minute)
	d.put(t, fileGraph(path, "two"))
	r := d.converged(t)
	if text, _ := os.ReadFile(path); string(text) != "two" || r.Counts.OK != 1 {
		t.Errorf("converged with %q and %+v", text, r.Counts)
	}
	// What cannot be read is refused, and the last good graph stays.
	d.put(t, "nonsense")
	for refused := false; !refused; {
		rec := wait(t, s.records, "a refusal")
		refused = rec.Type == view.Log && strings.Contains(rec.Message, "the last good one stays")
	}
	d.put(t, fileGraph(path, "three"))
	d.converged(t)
	if text, _ := os.ReadFile(path); string(text) != "three" {
		t.Errorf("the graph after a mistake was not followed: %q", text)
	}
	s.say(t, StopLine)
	if code := wait(t, s.code, "the end"); code != 0 {
		t.Errorf("ended with %d", code)
	}
	if r := s.last(); r.Type != view.End || r.Exit == nil || *r.Exit != 0 {
		t.Errorf("the last record is %+v", r)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is left, and nobody may be there to remove it: %v", err)
	}
}

func TestServeFailuresAreReported(t *testing.T) {
	d, base := newDepot(t), shortDir(t)
	graph := "resources:\n  exec:\n  - name: \"false\"\n"
	serve(t, d, base, "1", graph, time.Minute)
	d.put(t, graph)
	r := d.converged(t)
	if r.Counts.Failed != 1 || len(r.Failures) != 1 || !strings.HasPrefix(r.Failures[0], "exec/false: ") {
		t.Errorf("reported %+v %q", r.Counts, r.Failures)
	}
}

func TestServeIsTheOnlyOne(t *testing.T) {
	d, base := newDepot(t), shortDir(t)
	graph := "resources: {}\n"
	serve(t, d, base, "1", graph, time.Minute)
	d.put(t, graph)
	d.converged(t)
	second := serve(t, d, base, "2", graph, time.Minute)
	if code := wait(t, second.code, "the second one's end"); code != ExitBusy {
		t.Errorf("ended with %d, want %d", code, ExitBusy)
	}
	if r := second.last(); !strings.Contains(r.Message, "started by ann@laptop") {
		t.Errorf("it says %q", r.Message)
	}
}

func TestOrphanCleansUp(t *testing.T) {
	t.Parallel() // it waits
	d, base := newDepot(t), shortDir(t)
	path := filepath.Join(base, "out")
	s := serve(t, d, base, "1", fileGraph(path, "one"), 5*time.Second)
	d.put(t, fileGraph(path, "one"))
	d.converged(t)
	if err := d.server.Close(); err != nil {
		t.Fatal(err)
	}
	if code := wait(t, s.code, "the orphan's end"); code != ExitOrphaned {
		t.Errorf("ended with %d, want %d", code, ExitOrphaned)
	}
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("its directory is there: %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "one" {
		t.Errorf("what it declared is gone: %q", text)
	}
}

func TestOrphanYieldsToANewRun(t *testing.T) {
	d, base := newDepot(t), shortDir(t)
	graph := "resources: {}\n"
	first := serve(t, d, base, "1", graph, time.Hour)
	d.put(t, graph)
	d.converged(t)
	if err := d.server.Close(); err != nil {
		t.Fatal(err)
	}
	next := newDepot(t)
	serve(t, next, base, "2", graph, time.Hour)
	next.put(t, graph)
	if code := wait(t, first.code, "the orphan's end"); code != ExitOrphaned {
		t.Errorf("ended with %d, want %d", code, ExitOrphaned)
	}
	next.converged(t)
}

func TestServeWithoutCredentials(t *testing.T) {
	base := shortDir(t)
	for _, in := range []string{"", "nonsense\n", `{"ca":"","cert":"","key":""}`} {
		var out strings.Builder
		code := Serve(t.Context(), ServeOptions{
			Options: Options{Host: "h", Dir: runDir(t, base, itoa(len(in))).Dir},
			Vault:   new(Vault), In: strings.NewReader(in), Out: &out, LogLevel: slog.LevelInfo,
		})
		if code != ExitError || !strings.Contains(out.String(), "standard input must begin with them") {
			t.Errorf("for %q: ended with %d, having said %s", in, code, out.String())
		}
	}
}
