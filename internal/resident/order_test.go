package resident

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"spore/etcd"
	"spore/internal/secret"
)

// order is one for the host of the plot, with the key of its store's authority.
func (p *plot) order(member uint64) etcd.Order {
	p.Helper()
	key, err := p.server.Authority().Key()
	p.must(err)
	sealed, err := secret.Encrypt(p.recipient, key)
	p.must(err)
	return etcd.Order{
		Member: member, Cluster: "id-1", Peer: "127.0.0.1:7480",
		Initial: map[string]string{"h": "https://127.0.0.1:7480", "other": "https://127.0.0.2:7480"}, Authority: sealed,
	}
}

func (p *plot) member() (m Membership) {
	_ = readJSON(p.membership(), &m)
	return m
}

func (p *plot) serving() bool {
	running, _ := p.services.Running(p.Context(), StoreService)
	return running
}

func (p *plot) noStore() bool {
	_, err := os.Stat(p.Store())
	return errors.Is(err, fs.ErrNotExist) && !p.serving()
}

func TestOrdersAreObeyed(t *testing.T) {
	p := newPlot(t)
	r := p.start()
	p.must(p.store.PutOrder(p.Context(), "h", p.order(7)))
	p.await("the store is started", p.serving)
	m := p.member()
	if m.Member != 7 || m.Cluster != "id-1" || m.Host != "h" || len(m.Initial) != 2 || !m.Existing || !m.Until.IsZero() {
		t.Errorf("the store is started as %+v", m)
	}
	ca, err1 := os.ReadFile(p.ca())
	key, err2 := os.ReadFile(p.caKey())
	p.must(errors.Join(err1, err2))
	if _, err := etcd.LoadAuthority(ca, key); err != nil {
		t.Error(err)
	}
	for _, path := range []string{p.Store(), p.caKey(), p.membership()} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v (%v)", path, info, err)
		}
	}

	// What it holds survives the agent, and the silence of the store.
	data := filepath.Join(p.Store(), "data")
	p.must(os.Mkdir(data, 0o700))
	r.end()
	r = p.start()
	p.await("the agent is back", func() bool { return p.status().Connected })
	p.must(p.store.PutOrder(p.Context(), "h", p.order(8)))
	p.await("it becomes another member", func() bool { return p.member().Member == 8 && p.serving() })
	if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what the member before held is there still: %v", err)
	}
	p.must(os.Mkdir(data, 0o700))
	p.must(p.store.DropOrder(p.Context(), "h"))
	p.await("the store is gone", p.noStore)
	r.end()
}

func TestSilenceIsNoOrder(t *testing.T) {
	p := newPlot(t)
	p.must(p.store.PutOrder(p.Context(), "h", p.order(7)))
	r := p.start()
	p.await("the store is started", p.serving)
	r.end()
	p.must(p.server.Close())
	p.must(writeJSON(p.graph(), savedGraph{1, p.file("out", "one")}))
	p.start()
	p.await("the agent works without the store", p.holds("out", "one"))
	if !p.serving() || p.member().Member != 7 {
		t.Error("a member that hears nothing of the store gave up its own")
	}
}

// A founder is a member before it has an order, and knows no number.
func TestAFounderStays(t *testing.T) {
	p := newPlot(t)
	p.must(makeDir(p.Store()))
	want := Membership{Cluster: "id-1", Host: "h", Peer: "127.0.0.1:7480"}
	p.must(writeJSON(p.membership(), want))
	data := filepath.Join(p.Store(), "data")
	p.must(os.Mkdir(data, 0o700))
	p.must(p.store.PutOrder(p.Context(), "h", p.order(7)))
	p.start()
	p.await("the store is started", p.serving)
	if _, err := os.Stat(data); err != nil || p.member().Member != 0 {
		t.Errorf("it is started as %+v (%v)", p.member(), err)
	}
}

// An order for a member that has been removed is out of date.
func TestARemovedMemberIsNotStartedAgain(t *testing.T) {
	p := newPlot(t)
	p.must(makeDir(p.Store()))
	p.must(writeJSON(p.removed(), 7))
	p.must(p.store.PutOrder(p.Context(), "h", p.order(7)))
	p.put(p.file("out", "one"))
	p.start()
	p.converged()
	p.must(p.store.PutOrder(p.Context(), "h", p.order(8)))
	p.await("the store is started", p.serving)
	if m := p.member(); m.Member != 8 {
		t.Errorf("it is started as %+v", m)
	}
}

func TestWrongOrdersAreRefused(t *testing.T) {
	p := newPlot(t)
	foreign := p.order(7)
	foreign.Cluster = "another"
	damaged := p.order(7)
	damaged.Authority = []byte("nonsense")
	other, err := etcd.NewAuthority()
	p.must(err)
	key, err := other.Key()
	p.must(err)
	strange := p.order(7)
	strange.Authority = p.seal(string(key))
	p.start()
	for i, o := range []etcd.Order{foreign, damaged, strange} {
		p.must(p.store.PutOrder(p.Context(), "h", o))
		p.await("it complains", func() bool { return p.complaints() > i })
		if p.serving() || p.member().Cluster != "" {
			t.Errorf("obeyed %+v", o)
		}
	}
}

func (p *plot) complaints() int {
	var out bytes.Buffer
	p.must(Logs(p.Context(), p.Layout, LogsOptions{}, &out))
	return bytes.Count(out.Bytes(), []byte("cannot do as the store tells"))
}

func TestEndpointsAreFollowed(t *testing.T) {
	p := newPlot(t)
	p.start()
	want := []string{p.server.Endpoint(), "https://127.0.0.9:7481"}
	p.must(p.store.PutEndpoints(p.Context(), want))
	p.await("they are saved", func() bool {
		var saved []string
		return readJSON(p.endpoints(), &saved) == nil && len(saved) == 2
	})
	p.put(p.file("out", "one"))
	p.converged()
}
