package resident

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"spore/etcd"
)

// A bundle that no graph names goes once it has not for an hour, and the named one stays.
func TestUpkeepSweeps(t *testing.T) {
	p := newPlot(t)
	o := etcd.MemberOptions{
		Dir: shortDir(t), Name: "h", Peer: freeAddress(), Cluster: "id-1", Authority: p.server.Authority(), Log: slog.New(slog.DiscardHandler),
	}
	snapshot := p.path("snapshot")
	f, err := os.Create(snapshot)
	p.must(err)
	_, err = p.server.Snapshot(t.Context(), f)
	p.must(errors.Join(err, f.Close()))
	p.must(etcd.Restore(t.Context(), snapshot, o))
	serving, err := etcd.StartMember(t.Context(), o)
	p.must(err)
	t.Cleanup(func() { serving.Close() })
	store := (&seed{plot: p, peer: o.Peer}).admin()

	put := func(content string) (digest string) {
		sum := sha256.Sum256([]byte(content))
		digest = hex.EncodeToString(sum[:])
		p.must(store.PutBundle(t.Context(), digest, []byte(content)))
		return digest
	}
	named, unnamed := put("named"), put("unnamed")
	_, err = store.PutGraph(t.Context(), "h", etcd.Graph{Bundle: named})
	p.must(err)

	now := time.Now()
	u := (&hostStore{
		StoreOptions: StoreOptions{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }},
		layout:       p.Layout, serving: serving, store: store,
	}).newUpkeep()
	for _, look := range []struct {
		after  time.Duration
		remain bool
	}{{0, true}, {time.Minute, true}, {sweepAfter - 2*time.Minute, true}, {time.Minute, false}} {
		now = now.Add(look.after)
		p.must(u.look(t.Context()))
		if _, err := store.Fetch(t.Context(), unnamed); (err == nil) != look.remain {
			t.Errorf("%v later: %v", look.after, err)
		}
	}
	if _, err := store.Fetch(t.Context(), named); err != nil {
		t.Error(err)
	}
}
