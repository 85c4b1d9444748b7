package resident

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spore/etcd"
)

// A seed is the store of a fleet on its first host.
type seed struct {
	*plot
	peer   string
	cancel context.CancelFunc
	done   chan error
}

// freeAddress is one of this machine that no other test uses.
func freeAddress() string {
	return fmt.Sprintf("127.%d.%d.%d:7480", 1+rand.N(254), rand.N(256), 1+rand.N(254))
}

// sow founds the store of the plot's host with what its server holds.
func (p *plot) sow(until time.Time) *seed {
	p.Helper()
	s := &seed{plot: p, peer: freeAddress()}
	p.must(makeDir(p.Store()))
	p.must(p.placeAuthority(p.server.Authority()))
	snapshot := p.path("snapshot")
	f, err := os.Create(snapshot)
	p.must(err)
	_, err = p.server.Snapshot(p.Context(), f)
	p.must(errors.Join(err, f.Close()))
	peerURL, _, err := etcd.URLs(s.peer)
	p.must(err)
	o := etcd.MemberOptions{
		Dir: p.Store(), Name: "h", Peer: s.peer, Initial: map[string]string{"h": peerURL}, Cluster: "id-1", Authority: p.server.Authority(),
		Log: slog.New(slog.DiscardHandler),
	}
	p.must(etcd.Restore(p.Context(), snapshot, o))
	p.must(writeJSON(p.membership(), Membership{Cluster: "id-1", Host: "h", Peer: s.peer, Initial: o.Initial, Until: until}))
	s.run()
	return s
}

// run starts the store.
func (s *seed) run() {
	ctx, cancel := context.WithCancel(s.Context())
	s.cancel, s.done = cancel, make(chan error, 1)
	done := s.done
	go func() {
		done <- RunStore(ctx, s.Layout, StoreOptions{Log: slog.New(slog.DiscardHandler), Now: s.now})
		close(done)
	}()
	s.Cleanup(func() { cancel(); <-done })
}

// ended waits for the end of the store.
func (s *seed) ended() {
	s.Helper()
	select {
	case err := <-s.done:
		s.must(err)
	case <-time.After(patience):
		s.Fatal("the store does not end")
	}
}

// admin is the operator's view through the seed.
func (s *seed) admin() *etcd.Store {
	s.Helper()
	c, err := s.server.Authority().Admin()
	s.must(err)
	_, client, err := etcd.URLs(s.peer)
	s.must(err)
	admin, err := etcd.Open(s.Context(), etcd.Options{Endpoints: []string{client}, Credentials: c, Log: slog.New(slog.DiscardHandler)})
	s.must(err)
	s.Cleanup(func() { admin.Close() })
	return admin
}

func (s *seed) commit(id string) error {
	c := etcd.Cluster{ID: id, Name: "garden", Ideal: 1, MemberTimeout: time.Hour}
	return s.admin().Commit(s.Context(), c, nil, "h", etcd.Order{Cluster: id, Peer: s.peer})
}

func (s *seed) setClock(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = now
}

func TestAStoreThatIsCommittedToStays(t *testing.T) {
	p := newPlot(t)
	p.put(p.file("out", "one"))
	until := time.Now().Add(time.Hour)
	s := p.sow(until)
	p.must(s.commit("id-1"))
	p.await("it is no longer pending", func() bool { return p.member().Until.IsZero() })
	if p.member().Member == 0 {
		t.Error("it does not know which member it is")
	}
	s.setClock(until.Add(time.Hour))
	s.cancel()
	s.ended()
	s.run()
	graph, _, err := s.admin().Graph(t.Context(), "h")
	if err != nil || graph.Text != p.file("out", "one").Text {
		t.Errorf("after a restart it holds %q (%v)", graph.Text, err)
	}
	p.await("a snapshot is taken", func() bool {
		all, _ := filepath.Glob(filepath.Join(p.snapshots(), "*"+snapshotSuffix))
		return len(all) > 0
	})
}

// The commit came just before the process died, which has not noticed.
func TestACommitIsNoticedAfterARestart(t *testing.T) {
	p := newPlot(t)
	p.must(p.store.Commit(t.Context(), etcd.Cluster{ID: "id-1", Ideal: 1, MemberTimeout: time.Hour}, nil, "h", etcd.Order{}))
	p.sow(time.Now().Add(-time.Hour))
	p.await("it is no longer pending", func() bool { return p.member().Until.IsZero() && p.member().Host == "h" })
}

func TestAStoreThatNobodyCommitsToGoes(t *testing.T) {
	p := newPlot(t)
	until := time.Now().Add(time.Hour)
	s := p.sow(until)
	admin := s.admin()
	if _, ok, err := admin.Cluster(t.Context()); ok || err != nil {
		t.Fatalf("it belongs to a cluster (%v)", err)
	}
	s.setClock(until)
	s.ended()
	if _, err := os.Stat(p.Store()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it left something: %v", err)
	}
	s.run() // as systemd does
	s.ended()
}

// Who commits when it is too late must not be told that all is well, whoever is faster.
func TestALateCommitFails(t *testing.T) {
	p := newPlot(t)
	s := p.sow(time.Now().Add(time.Hour))
	p.must(s.admin().Commit(t.Context(), etcd.Cluster{ID: abandoned}, nil, "h", etcd.Order{}))
	if err := s.commit("id-1"); err == nil {
		t.Error("a store that was given up was committed to")
	}
	s.ended()
}

func TestAMemberThatWasRemovedGoes(t *testing.T) {
	p := newPlot(t)
	quiet := slog.New(slog.DiscardHandler)
	first := etcd.MemberOptions{
		Dir: shortDir(t), Name: "first", Peer: freeAddress(), Cluster: "id-1", Authority: p.server.Authority(), Log: quiet,
	}
	snapshot := p.path("snapshot")
	f, err := os.Create(snapshot)
	p.must(err)
	_, err = p.server.Snapshot(t.Context(), f)
	p.must(errors.Join(err, f.Close()))
	firstURL, _, err := etcd.URLs(first.Peer)
	p.must(err)
	first.Initial = map[string]string{"first": firstURL}
	p.must(etcd.Restore(t.Context(), snapshot, first))
	serving, err := etcd.StartMember(t.Context(), first)
	p.must(err)
	t.Cleanup(func() { serving.Close() })
	admin := (&seed{plot: p, peer: first.Peer}).admin()

	s := &seed{plot: p, peer: freeAddress()}
	url, _, err := etcd.URLs(s.peer)
	p.must(err)
	id, err := admin.AddLearner(t.Context(), url)
	p.must(err)
	p.must(makeDir(p.Store()))
	p.must(p.placeAuthority(p.server.Authority()))
	p.must(writeJSON(p.membership(), Membership{
		Cluster: "id-1", Host: "h", Peer: s.peer, Member: id, Initial: map[string]string{"first": firstURL, "h": url}, Existing: true,
	}))
	s.run()
	p.await("it is promoted", func() bool { return admin.Promote(t.Context(), id) == nil })
	p.must(admin.Remove(t.Context(), id))
	s.ended()
	var gone uint64
	if err := readJSON(p.removed(), &gone); err != nil || gone != id {
		t.Errorf("it does not say that member %d was removed, but %d (%v)", id, gone, err)
	}
	entries, err := os.ReadDir(p.Store())
	if err != nil || len(entries) != 1 {
		t.Errorf("left are %v (%v)", entries, err)
	}
	s.run() // as systemd does
	s.ended()
}

// answers says whether some member does.
func (p *plot) answers() bool {
	conn, err := p.dialStore(p.Context())
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func TestPipe(t *testing.T) {
	p := newPlot(t)
	s := p.sow(time.Now().Add(time.Hour))
	c := Config{Cluster: "id-1", Name: "garden", Host: "h", Peer: s.peer}
	p.must(writeJSON(p.config(), c))
	p.await("the store answers", p.answers)
	ours, theirs := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- Pipe(t.Context(), p.Layout, theirs, theirs) }()
	admin, err := p.server.Authority().Admin()
	p.must(err)
	store, err := etcd.Open(t.Context(), etcd.Options{
		Endpoints: []string{"the-seed"}, Credentials: admin, Log: slog.New(slog.DiscardHandler),
		Dialer: func(context.Context) (net.Conn, error) { return ours, nil },
	})
	p.must(err)
	if _, _, err := store.Cluster(t.Context()); err != nil {
		t.Errorf("nothing comes through: %v", err)
	}
	p.must(store.Close())
	ours.Close()
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("it does not end with what it carries")
	}
}

// A member that hangs, or is gone, is passed by.
func TestPipeGoesToOneThatAnswers(t *testing.T) {
	p := newPlot(t)
	s := p.sow(time.Now().Add(time.Hour))
	hanging, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, as the kernel does for a stopped process
	p.must(err)
	defer hanging.Close()
	_, client, err := etcd.URLs(s.peer)
	p.must(err)
	p.must(writeJSON(p.config(), Config{Cluster: "id-1", Name: "garden", Host: "h", Peer: s.peer}))
	p.await("the store answers", p.answers)
	p.must(os.Rename(p.membership(), p.path("membership"))) // the host is none of the members
	p.must(writeJSON(p.endpoints(), []string{"https://" + hanging.Addr().String(), client, "https://127.0.0.1:1"}))
	p.await("one answers", func() bool {
		conn, err := p.dialStore(t.Context())
		if err != nil {
			return false
		}
		defer conn.Close()
		return "https://"+conn.RemoteAddr().String() == client
	})
}

func TestPipeWithoutAStore(t *testing.T) {
	p := newPlot(t)
	p.must(writeJSON(p.endpoints(), []string{"https://127.0.0.1:1"}))
	err := Pipe(t.Context(), p.Layout, strings.NewReader(""), new(bytes.Buffer))
	if err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "reach the store") {
		t.Errorf("got %v", err)
	}
}
