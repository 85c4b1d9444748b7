package resident

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"spore/engine"
	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/agent"
	"spore/internal/bundle"
)

func TestAgentKeepsTheStoresGraph(t *testing.T) {
	p := newPlot(t)
	p.put(p.file("out", "one"))
	p.start()
	h := p.converged()
	if f := h.Facts; !f.Resident || f.Recipient != p.recipient || f.Peer != "127.0.0.1:7480" || len(f.Digest) != 64 || f.Version != "v1" || f.OS == "" || f.Arch == "" {
		t.Errorf("it tells of itself %+v", f)
	}
	if h.Report.Repaired != 0 {
		t.Errorf("to make what is declared counts as %d repairs", h.Report.Repaired)
	}
	p.must(os.WriteFile(p.path("out"), []byte("drift"), 0o600))
	p.await("the drift is repaired", p.holds("out", "one"))
	for p.converged().Report.Repaired != 1 {
	}
	p.put(p.file("out", "two"))
	if r := p.converged().Report; r.Repaired != 1 || !p.holds("out", "two")() {
		t.Errorf("a new graph makes %d repairs, want 1 still", r.Repaired)
	}
	s := p.status()
	if !s.Settled || !s.Connected || s.Revision == 0 || s.Digest != h.Facts.Digest {
		t.Errorf("its status is %+v", s)
	}
}

func TestAgentBeginsWithTheLastGraphWithoutTheStore(t *testing.T) {
	p := newPlot(t)
	p.put(p.file("out", "one"))
	first := p.start()
	p.converged()
	first.end()
	p.must(p.server.Close())
	p.must(os.Remove(p.path("out")))
	p.start()
	p.await("the last graph is applied", p.holds("out", "one"))
	if s := p.status(); s.Connected || s.Revision != 0 {
		t.Errorf("its status is %+v", s)
	}
}

func TestAgentNeverAppliesAnOlderGraphThanTheStores(t *testing.T) {
	p := newPlot(t)
	p.must(writeJSON(p.graph(), savedGraph{1, p.file("old", "old")}))
	p.put(p.file("new", "new"))
	p.start()
	p.converged()
	if _, err := os.Stat(p.path("old")); !errors.Is(err, fs.ErrNotExist) || !p.holds("new", "new")() {
		t.Errorf("an older graph was applied (%v)", err)
	}
}

// A host that has lost what it wrote, or has a disk that takes nothing, waits for the store.
func TestAgentWithDamagedFiles(t *testing.T) {
	p := newPlot(t)
	p.must(os.WriteFile(p.graph(), []byte("{"), 0o600))
	p.must(os.WriteFile(p.endpoints(), []byte("{"), 0o600))
	p.must(os.WriteFile(p.lease(), []byte("{"), 0o600))
	p.must(os.WriteFile(p.logs(), nil, 0o600)) // no place for records
	p.put(p.file("out", "one"))
	p.start()
	p.converged()
}

// watchExports tells for the rest of the test how often what hosts export was gone, once it is there.
func (p *plot) watchExports() (seen func() int, gone func() int64) {
	p.Helper()
	c, err := p.store.Admit(p.Context(), p.server.Authority(), "other", etcd.Grants{Collects: []string{"file"}})
	p.must(err)
	client, err := etcd.Dial(p.Context(), etcd.Options{
		Endpoints: []string{p.server.Endpoint()}, Credentials: c, Log: slog.New(slog.DiscardHandler),
	})
	p.must(err)
	p.Cleanup(func() { client.Close() })
	var number, lost atomic.Int64
	go func() {
		_ = client.Collect(p.Context(), []string{"file"}, func(all []engine.Export) {
			if number.Swap(int64(len(all))) > int64(len(all)) {
				lost.Add(1)
			}
		})
	}()
	return func() int { return int(number.Load()) }, lost.Load
}

func (p *plot) exporting() etcd.Graph {
	return etcd.Graph{Name: "g", Text: "resources:\n  file:\n  - name: \"@@" + p.path("shared") + "\"\n    content: x\n"}
}

func TestExportsOutliveARestart(t *testing.T) {
	p := newPlot(t)
	seen, gone := p.watchExports()
	p.put(p.exporting())
	for range 3 {
		r := p.start()
		p.await("the agent is settled", func() bool { s := p.status(); return s.Settled && s.Revision > 0 })
		p.await("the export is seen", func() bool { return seen() == 1 })
		r.end()
	}
	p.start()
	p.await("the agent is settled", func() bool { s := p.status(); return s.Settled && s.Revision > 0 })
	p.converged()
	if seen() != 1 || gone() != 0 {
		t.Errorf("%d exports are seen, and one was gone %d times", seen(), gone())
	}
}

func TestStopWithdrawsExports(t *testing.T) {
	p := newPlot(t)
	seen, _ := p.watchExports()
	p.put(p.exporting())
	r := p.start()
	p.await("the export is seen", func() bool { return seen() == 1 })
	conn, err := net.Dial("unix", filepath.Join(p.Dir(), "agent.sock"))
	p.must(err)
	defer conn.Close()
	_, err = io.WriteString(conn, agent.StopLine+"\n")
	p.must(err)
	r.ended()
	p.await("the export is gone", func() bool { return seen() == 0 })
}

// session starts an agent as an initiator does.
func (p *plot) session(id string) (code chan int, said *bytes.Buffer, dir string) {
	p.Helper()
	dir = filepath.Join(p.Root, "run-"+id)
	p.must(os.Mkdir(dir, 0o700))
	c, err := json.Marshal(p.admit(etcd.Grants{Exports: []string{"file"}}))
	p.must(err)
	begin, err := emptyGraph(p.kinds)
	p.must(err)
	in, stdin := io.Pipe()
	p.Cleanup(func() { stdin.Close() })
	ctx, cancel := context.WithCancel(p.Context())
	p.Cleanup(cancel)
	code, said = make(chan int, 1), new(bytes.Buffer)
	go func() {
		code <- agent.Serve(ctx, agent.ServeOptions{
			Options: agent.Options{Manifest: begin, Kinds: p.kinds, Host: "h", Dir: dir}, Vault: &agent.Vault{Dir: dir},
			Seeds: []string{p.server.Endpoint()}, Owner: "ann@laptop", In: in, Out: said, LogLevel: slog.LevelInfo,
		})
	}()
	_, err = stdin.Write(append(c, '\n'))
	p.must(err)
	return code, said, dir
}

func TestAgentTakesOverFromASession(t *testing.T) {
	p := newPlot(t)
	seen, gone := p.watchExports()
	p.put(p.exporting())
	code, _, dir := p.session("1")
	p.await("the export is seen", func() bool { return seen() == 1 })
	p.start()
	if c := <-code; c != 0 {
		t.Errorf("the session's agent ended with %d", c)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it left its directory: %v", err)
	}
	p.await("the agent is settled", func() bool { s := p.status(); return s.Settled && s.Revision > 0 })
	p.converged()
	if seen() != 1 || gone() != 0 {
		t.Errorf("%d exports are seen, and one was gone %d times", seen(), gone())
	}
	code, said, _ := p.session("2")
	if c := <-code; c != agent.ExitBusy {
		t.Errorf("another session's agent ended with %d, want %d", c, agent.ExitBusy)
	}
	if want := "this host belongs to the detached cluster garden"; !strings.Contains(said.String(), want) {
		t.Errorf("it said %q, want %q", said, want)
	}
}

// pack puts the files below dir into the store as a bundle, for which the host gets the right.
func (p *plot) pack(name, content string) string {
	p.Helper()
	dir := p.TempDir()
	p.must(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	m, err := manifest.Parse(filepath.Join(dir, "g.yaml"), []byte("resources:\n  file:\n  - name: /x\n    source: "+name+"\n"), manifest.Options{Kinds: p.kinds})
	p.must(err)
	packed, digest, err := bundle.Pack(m.Files)
	p.must(err)
	p.must(p.store.PutBundle(p.Context(), digest, packed))
	p.admit(etcd.Grants{Resident: true, Bundle: digest})
	return digest
}

func (p *plot) sourced(name, digest string) etcd.Graph {
	text := "resources:\n  file:\n  - name: " + p.path("out") + "\n    source: " + name + "\n"
	return etcd.Graph{Name: "g", Text: text, Bundle: digest}
}

func TestBundlesArrive(t *testing.T) {
	p := newPlot(t)
	p.start()
	first := p.pack("a", "first")
	p.put(p.sourced("a", first))
	p.converged()
	second := p.pack("b", "second")
	p.put(p.sourced("b", second))
	p.converged()
	if !p.holds("out", "second")() {
		t.Error("what travelled with the second graph did not arrive")
	}
	p.await("the first is removed", func() bool {
		_, err := os.Stat(filepath.Join(p.trees(), first))
		return errors.Is(err, fs.ErrNotExist)
	})
}

// A bundle that is not to be had yet is one to wait for, and the last graph goes on.
func TestABundleIsWaitedFor(t *testing.T) {
	p := newPlot(t)
	p.put(p.file("out", "before"))
	p.start()
	p.converged()
	digest := p.pack("a", "content")
	p.put(p.sourced("a", strings.Repeat("f", 64)))
	p.await("it complains", func() bool {
		var out bytes.Buffer
		p.must(Logs(p.Context(), p.Layout, LogsOptions{}, &out))
		return strings.Contains(out.String(), "what the graph needs is not to be had")
	})
	p.must(os.Remove(p.path("out")))
	p.await("the last graph goes on", p.holds("out", "before"))
	p.put(p.sourced("a", digest))
	p.converged()
	if !p.holds("out", "content")() {
		t.Error("what travelled with the graph did not arrive")
	}
}

func TestSecretsAreNeverOnDisk(t *testing.T) {
	p := newPlot(t)
	g := p.file("out", "secret://env/WORD")
	g.Secrets = p.seal(`{"secret://env/WORD":"open sesame"}`)
	p.put(g)
	first := p.start()
	p.converged()
	first.end()
	p.must(os.Remove(p.path("out")))
	p.start()
	p.await("it is applied again", p.holds("out", "open sesame"))
	p.must(filepath.WalkDir(p.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it may have gone
		}
		if text, _ := os.ReadFile(path); bytes.Contains(text, []byte("open sesame")) {
			t.Errorf("%s holds the secret", path)
		}
		return nil
	}))
}
