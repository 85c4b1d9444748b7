package resident

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"spore/etcd"
)

// A tended is the store of a fleet that its services stop and start.
type tended struct {
	*seed
	hands
	calls []string
}

func (s *tended) Start(ctx context.Context, service string) error {
	s.calls = append(s.calls, "start "+service)
	if service == StoreService {
		s.run()
	}
	return s.hands.Start(ctx, service)
}

func (s *tended) Stop(ctx context.Context, service string) error {
	s.calls = append(s.calls, "stop "+service)
	if service == StoreService {
		s.cancel()
		s.ended()
	}
	return s.hands.Stop(ctx, service)
}

// tend has a host serve a store whose snapshot holds the graph "one", and which holds "two" itself.
func tend(t *testing.T) *tended {
	p := newPlot(t)
	p.put(p.file("out", "one"))
	s := &tended{seed: p.sow(time.Time{}), hands: hands{running: map[string]bool{}}}
	p.must(s.commit("id-1"))
	p.await("a snapshot is taken", func() bool {
		all, _ := filepath.Glob(filepath.Join(p.snapshots(), "*"+snapshotSuffix))
		return len(all) == 1
	})
	_, err := s.admin().PutGraph(t.Context(), "h", p.file("out", "two"))
	p.must(err)
	p.must(s.admin().PutOrder(t.Context(), "gone", etcd.Order{Cluster: "id-1", Member: 7}))
	return s
}

func (s *tended) revive(snapshot string) (Revived, error) {
	r := &revival{layout: s.Layout, services: s, snapshot: snapshot}
	return r.run(s.Context())
}

// wants checks that the store is that of this host alone and holds this graph.
func (s *tended) wants(out Revived, content string) {
	s.Helper()
	_, client, err := etcd.URLs(s.peer)
	s.must(err)
	admin := s.admin()
	members, err := admin.Members(s.Context())
	s.must(err)
	orders, err := admin.Orders(s.Context())
	s.must(err)
	if len(members) != 1 || len(orders) != 1 || orders["h"].Member != members[0].ID || len(orders["h"].Authority) == 0 {
		s.Errorf("its members are %+v, the orders %+v", members, orders)
	}
	endpoints, err := admin.Endpoints(s.Context())
	s.must(err)
	var known []string
	s.must(readJSON(s.endpoints(), &known))
	want := []string{client}
	if !slices.Equal(out.Endpoints, want) || !slices.Equal(endpoints, want) || !slices.Equal(known, want) {
		s.Errorf("it says that it is at %v, the store that it is at %v, and the host knows %v", out.Endpoints, endpoints, known)
	}
	graph, _, err := admin.Graph(s.Context(), "h")
	if err != nil || graph.Text != s.file("out", content).Text {
		s.Errorf("it holds %q, %v", graph.Text, err)
	}
	s.must(admin.PutRecipient(s.Context(), "h", s.recipient)) // it takes writes
}

func TestReviveTheLastState(t *testing.T) {
	s := tend(t)
	out, err := s.revive("")
	s.must(err)
	s.wants(out, "two")
	want := []string{"stop agent", "stop store", "start store", "start agent"}
	if !slices.Equal(s.calls, want) {
		t.Errorf("it did %q, want %q", s.calls, want)
	}
}

func TestReviveASnapshot(t *testing.T) {
	s := tend(t)
	_, err := s.revive("nothing")
	if err == nil || !strings.Contains(err.Error(), `there is no snapshot "nothing" on this host: it has 2`) {
		t.Errorf("the error is %v", err)
	}
	if last := s.calls[len(s.calls)-2:]; !slices.Equal(last, []string{"start store", "start agent"}) {
		t.Errorf("what ran does not run again: %q", s.calls)
	}
	s.must(serves(t.Context(), s.peer, s.server.Authority()))
	out, err := s.revive(LatestSnapshot)
	s.must(err)
	s.wants(out, "one")
}

func TestReviveWithoutAStore(t *testing.T) {
	p := newPlot(t)
	r := &revival{layout: p.Layout, services: p.services}
	if _, err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), "this host has not served the store") {
		t.Errorf("the error is %v", err)
	}
	p.must(makeDir(p.Store()))
	p.must(writeJSON(p.membership(), Membership{Cluster: "id-1", Host: "h", Peer: "127.0.0.1:7480", Until: time.Now()}))
	if _, err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), "nobody has committed") {
		t.Errorf("the error is %v", err)
	}
}

func TestFollow(t *testing.T) {
	p := newPlot(t)
	p.must(makeDir(p.Store()))
	there := Following{Cluster: "id-1", Endpoints: []string{"https://192.0.2.1:7481"}, Member: true}
	p.must(follow(t.Context(), p.Layout, p.services, there))
	var known []string
	p.must(readJSON(p.endpoints(), &known))
	if p.noStore() || !slices.Equal(known, there.Endpoints) || !p.services.running[AgentService] {
		t.Errorf("it knows %v; its store is gone: %v", known, p.noStore())
	}
	there.Member = false
	p.must(follow(t.Context(), p.Layout, p.services, there))
	if !p.noStore() {
		t.Error("it keeps a store of its own")
	}
	there.Cluster = "id-2"
	if err := follow(t.Context(), p.Layout, p.services, there); err == nil || !strings.Contains(err.Error(), "belongs to the cluster garden") {
		t.Errorf("the error is %v", err)
	}
}
