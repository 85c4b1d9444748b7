package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/fswatch"
	"spore/internal/view"
	"spore/resources"
)

func TestJournalGoesOnWithItsNumbers(t *testing.T) {
	j := newJournalAfter(7)
	j.Emit(view.Record{Message: "8"})
	code := 0
	j.close(view.Record{Message: "9", Exit: &code}, 0)
	inOrder(t, read(t, j, 7), 8, 9)
	if all := read(t, j, 5); len(all) != 3 || all[0].Message != "2 records were lost while nobody listened" {
		t.Errorf("who comes from before its time is told %v", all)
	}
}

func TestFollow(t *testing.T) {
	s := newStage(t)
	s.journal.Emit(numbered(1))
	s.journal.Emit(numbered(2))
	s.ends(0)
	var seen []int64
	err := Follow(t.Context(), s.dir, 1, func(r view.Record) error { seen = append(seen, r.Seq); return nil })
	if err != nil || len(seen) != 2 || seen[0] != 2 || seen[1] != 3 {
		t.Errorf("followed %v (%v), want 2 and 3", seen, err)
	}
	stop := errors.New("enough")
	if err := Follow(t.Context(), s.dir, 0, func(view.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
	if err := Follow(t.Context(), shortDir(t), 0, nil); !errors.Is(err, ErrNoAgent) {
		t.Errorf("got %v, want %v", err, ErrNoAgent)
	}
}

func TestAsk(t *testing.T) {
	dir, want := shortDir(t), Status{Digest: "d", Settled: true, Revision: 7, Connected: true}
	c, err := listenControl(t.Context(), dir, newJournal(), orders{status: func() Status { return want }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.listener.Close()
	if got, err := Ask(t.Context(), dir); err != nil || got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	if _, err := Ask(t.Context(), shortDir(t)); !errors.Is(err, ErrNoAgent) {
		t.Errorf("got %v, want %v", err, ErrNoAgent)
	}
}

func TestAHeirIsTold(t *testing.T) {
	base := shortDir(t)
	h := runDir(t, base, "1")
	l := hold(t, base, h)
	var asked atomic.Int32
	c, err := listenControl(t.Context(), h.Dir, newJournal(), orders{succeed: func() int64 {
		asked.Add(1)
		l.release()
		return 42
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.listener.Close()
	next := new(heir)
	taken, err := takeHost(t.Context(), base, claimant{next.ask, patience})
	if err != nil {
		t.Fatal(err)
	}
	taken.release()
	if next.lease != 42 || asked.Load() != 1 {
		t.Errorf("it inherits %d, having asked %d times", next.lease, asked.Load())
	}
}

func TestAResidentIsFound(t *testing.T) {
	base := shortDir(t)
	want := Holder{PID: os.Getpid(), Dir: filepath.Join(base, residentDir), Cluster: "garden", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if err := os.Mkdir(want.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	own, err := takeOwn(want)
	if err != nil {
		t.Fatal(err)
	}
	defer own.release()
	got := readHolder(base)
	if got != want {
		t.Errorf("the holder is %+v, want %+v", got, want)
	}
	text := (&BusyError{got}).Error()
	if !strings.Contains(text, "detached cluster garden") || !strings.Contains(text, "spore deploy") || !strings.Contains(text, "spore leave") {
		t.Errorf("it says %q", text)
	}
}

// A graph is not run before it is prepared; what the agent was handed goes on meanwhile.
func TestAGraphIsPreparedFirst(t *testing.T) {
	d, base := newDepot(t), shortDir(t)
	credentials, err := d.Admit(t.Context(), d.server.Authority(), "h", etcd.Grants{})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{dir: runDir(t, base, "1").Dir, records: make(chan view.Record, 1024)}
	o := s.options(t, fileGraph(filepath.Join(base, "old"), "old"))
	if o.Client, err = etcd.Dial(t.Context(), etcd.Options{Endpoints: []string{d.endpoint}, Credentials: credentials, Log: o.Log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Client.Close() })
	var asked atomic.Int32
	may := make(chan struct{})
	o.StoreFirst = time.Nanosecond
	o.Prepare = func(ctx context.Context, _ etcd.Graph) (string, Secrets, error) {
		if asked.Add(1) == 1 {
			return "", nil, errors.New("not yet")
		}
		select {
		case <-may:
		case <-ctx.Done():
		}
		return base, nil, ctx.Err()
	}
	var applied atomic.Int64
	o.Applied = func(_ etcd.Graph, revision int64) { applied.Store(revision) }
	path := filepath.Join(base, "new")
	d.put(t, fileGraph(path, "new"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := Run(ctx, o); ended <- err }()
	s.applied(t, filepath.Join(base, "old"), "old") // for want of it, since the first attempt failed
	close(may)
	d.converged(t)
	if text, _ := os.ReadFile(path); string(text) != "new" || applied.Load() == 0 {
		t.Errorf("it holds %q, and was applied as %d", text, applied.Load())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// options are those of an agent that begins with a graph.
func (s *service) options(t *testing.T, graph string) Options {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	hub := fswatch.New(quiet)
	t.Cleanup(func() { hub.Close() })
	kinds := resources.Kinds(hub)
	m, err := manifest.Parse(filepath.Join(s.dir, "g.yaml"), []byte(graph), manifest.Options{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	sink := view.SinkFunc(func(r view.Record) { s.records <- r })
	return Options{Manifest: m, Kinds: kinds, Host: "h", Dir: s.dir, Log: quiet, Sink: sink, Timeout: -1}
}
