package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A mortal is a store that is going to lose what was written from a certain moment on.
type mortal struct {
	endpoints []string
	authority *Authority
	age       func(*testing.T)          // what is written from now on will be lost
	revive    func(*testing.T) *Serving // without it, at one of the endpoints
}

// majorityLost is a store of three of which one was not there at last, and is all that is left.
func majorityLost(t *testing.T) *mortal {
	members, _ := three(t)
	left := members[2]
	m := &mortal{authority: left.options.Authority}
	for _, s := range members {
		m.endpoints = append(m.endpoints, s.Endpoint())
	}
	m.age = func(t *testing.T) {
		if err := left.Close(); err != nil {
			t.Fatal(err)
		}
	}
	m.revive = func(t *testing.T) *Serving {
		for _, s := range members[:2] {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := Revive(t.Context(), left.options); err != nil {
			t.Fatal(err)
		}
		return startMember(t, left.options)
	}
	return m
}

// setBack is a store that is replaced by a snapshot of it.
func setBack(t *testing.T) *mortal {
	a := startServer(t)
	first := found(t, a, newMember(t, "a", a.Authority()))
	m := &mortal{endpoints: []string{first.Endpoint()}, authority: a.Authority()}
	file := filepath.Join(shortDir(t), "snapshot")
	m.age = func(t *testing.T) {
		f, err := os.Create(file)
		if err == nil {
			err = errors.Join(m.store(t).Snapshot(t.Context(), f), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	m.revive = func(t *testing.T) *Serving {
		err := first.Close()
		if err == nil {
			err = Replace(t.Context(), file, first.options)
		}
		if err != nil {
			t.Fatal(err)
		}
		return startMember(t, first.options)
	}
	return m
}

func (m *mortal) store(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Endpoints: m.endpoints, Credentials: operator(t, m.authority), Log: discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// told is what a host hears by its watches.
type told struct {
	exports *latest[[]string]
	order   *latest[string]
	value   *latest[string]
}

func hear(t *testing.T, c *Client) told {
	t.Helper()
	heard := told{collect(t, c, "file"), newLatest[string](), newLatest[string]()}
	background(t, func(ctx context.Context) error {
		return c.FollowOrder(ctx, func(o *Order) {
			if o != nil {
				heard.order.set(o.Peer)
			}
		})
	})
	changed := make(chan struct{}, 1)
	background(t, func(ctx context.Context) error {
		return c.Watch(ctx, "k", func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	})
	background(t, func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			}
			value, _, err := c.Get(ctx, "k")
			if err != nil && ctx.Err() == nil {
				return err
			}
			heard.value.set(value)
		}
	})
	return heard
}

// Clients that know what a revived store has lost neither keep to it nor miss what comes, and what
// they had written is there again before the fleet converges.
func TestClientsGoOnWithARevivedStore(t *testing.T) {
	t.Parallel()
	for name, mortal := range map[string]func(*testing.T) *mortal{"majority lost": majorityLost, "set back": setBack} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRevival(t, mortal(t))
		})
	}
}

func testRevival(t *testing.T, m *mortal) {
	store := m.store(t)
	start := func(host string, kinds ...string) *agent {
		g := Grants{Exports: []string{"file"}, Collects: []string{"file"}, Keys: []string{"k"}, Resident: true}
		c, err := store.Admit(t.Context(), m.authority, host, g)
		if err != nil {
			t.Fatal(err)
		}
		return startAgent(t, Options{Endpoints: m.endpoints, Credentials: c, Log: discard(), TTL: 8 * time.Second}, kinds...)
	}
	// All that a writes or hears of is written in one way, then in another, which is lost.
	write := func(a *agent, what string) int64 {
		t.Helper()
		graph, err := store.PutGraph(t.Context(), "a", Graph{Name: what})
		if err == nil {
			_, err = store.PutGraph(t.Context(), "b", Graph{})
		}
		if err := errors.Join(err,
			a.Export(t.Context(), exports("file", what)),
			a.Put(t.Context(), "k", &what),
			store.PutOrder(t.Context(), "b", Order{Peer: what}),
		); err != nil {
			t.Fatal(err)
		}
		return graph
	}
	a, b := start("a"), start("b", "file")
	heard := hear(t, b.Client)
	fleet := follow(t, store)
	awaitHeard := func(what string) {
		t.Helper()
		is := func(v string) bool { return v == what }
		heard.order.wait(t, "the order is "+what, is)
		heard.value.wait(t, "the value is "+what, is)
	}
	awaitExport := func(what string) {
		t.Helper()
		heard.exports.wait(t, "the export is "+what, func(e []string) bool { return slices.Equal(e, []string{`file/a/` + what + `="` + what + `"`}) })
	}
	awaitGraph := func(revision, since int64) {
		t.Helper()
		fleet.wait(t, "the fleet converges", func(f Fleet) bool {
			return f.Seen >= since && f.Hosts["a"].Graph == revision && f.Converged([]string{"a", "b"})
		})
	}
	kept := write(a, "kept")
	awaitHeard("kept")
	awaitExport("kept")
	awaitGraph(kept, kept)
	m.age(t)
	lost := write(a, "lost")
	awaitHeard("lost")
	awaitExport("lost")
	awaitGraph(lost, lost)
	before := a.Lease()

	revived := m.revive(t)
	waitReady(t, revived)
	awaitHeard("kept")
	awaitGraph(kept, leap)
	checkOrder(t, adminOf(t, revived))
	awaitExport("lost") // it is a's, who lives
	if a.Processed() < leap || a.Lease() == before {
		t.Errorf("a has processed %d, and holds lease %x, before it was %x", a.Processed(), a.Lease(), before)
	}
	next := write(a, "next")
	if next <= leap {
		t.Errorf("revision %d may have been that of something else", next)
	}
	awaitHeard("next")
	awaitExport("next")
	awaitGraph(next, next)
}

// checkOrder checks that a host that says to have processed what a revived store holds has written
// what that had lost before.
func checkOrder(t *testing.T, admin *clientv3.Client) {
	t.Helper()
	now := must(t, func(ctx context.Context) (*clientv3.GetResponse, error) { return admin.Get(ctx, reportKey("a")) })
	first, export := int64(0), int64(0)
	since := clientv3.WithRev(leapt(t, admin) + 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for resp := range admin.Watch(ctx, prefix, clientv3.WithPrefix(), since) {
		for _, e := range resp.Events {
			if string(e.Kv.Key) == exportKey("file", "a", "lost") {
				export = e.Kv.ModRevision
			}
			if first == 0 && isReportAfter(t, e, leap) {
				first = e.Kv.ModRevision
			}
			if e.Kv.ModRevision >= now.Kvs[0].ModRevision {
				cancel()
			}
		}
	}
	if export == 0 || first == 0 || export > first {
		t.Errorf("the export came with revision %d, the first report with %d", export, first)
	}
}

// leapt returns the revision that a store was revived with: its past is gone up to there.
func leapt(t *testing.T, admin *clientv3.Client) int64 {
	t.Helper()
	for resp := range admin.Watch(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithRev(1)) {
		if resp.CompactRevision > leap {
			return resp.CompactRevision
		}
	}
	t.Fatal("the past of the store is not gone")
	return 0
}

func isReportAfter(t *testing.T, e *clientv3.Event, revision int64) bool {
	t.Helper()
	if string(e.Kv.Key) != reportKey("a") || e.Type == clientv3.EventTypeDelete {
		return false
	}
	var r Report
	if err := json.Unmarshal(e.Kv.Value, &r); err != nil {
		t.Fatal(err)
	}
	return r.Processed >= revision
}
