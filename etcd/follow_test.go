package etcd

import (
	"context"
	"net"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// The operator who follows the fleet goes on doing so when another store takes over, also if that
// forgets its past: no host seems to be gone for a moment, and nothing is missed.
func TestFollowOutlivesTheHandover(t *testing.T) {
	t.Parallel()
	for _, compact := range []bool{false, true} {
		s := startServer(t)
		way := &way{open: s.Dial}
		through := func(o Options) Options {
			o.Endpoints, o.Dialer = []string{"passthrough:///store"}, way.dial
			return o
		}
		store, err := Open(t.Context(), through(adminOptions(s)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		startAgent(t, through(admit(t, s, "a", Grants{Collects: []string{"file"}})), "file")
		told := newLatest[[]Fleet]()
		background(t, func(ctx context.Context) error {
			return store.Follow(ctx, func(f Fleet) { told.set(append(told.get(), f)) })
		})
		converged := func(revision int64) func([]Fleet) bool {
			return func(f []Fleet) bool {
				last := Fleet{}
				if len(f) > 0 {
					last = f[len(f)-1]
				}
				return last.Hosts["a"].Graph == revision && last.Converged([]string{"a"})
			}
		}
		put := func(name string) int64 {
			t.Helper()
			revision, err := store.PutGraph(t.Context(), "a", Graph{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			return revision
		}
		first := put("one")
		before := len(told.wait(t, "the fleet converges", converged(first)))

		path, _, _ := snapshotOf(t, s)
		o := newMember(t, "a", s.Authority())
		if err := Restore(t.Context(), path, o); err != nil {
			t.Fatal(err)
		}
		member := startMember(t, o)
		waitReady(t, member)
		admin := adminOf(t, member)
		if compact {
			r, err := admin.Put(t.Context(), exportKey("file", "b", "x"), "{}")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := admin.Compact(t.Context(), r.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
				t.Fatal(err)
			}
		}
		way.lead(func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(member.Endpoint(), "unix://"))
		})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		second := put("two")
		if second <= first {
			t.Errorf("revision %d came after %d", second, first)
		}
		for _, f := range told.wait(t, "the fleet converges again", converged(second))[before:] {
			if !f.Hosts["a"].HasReport || f.Hosts["a"].Graph == 0 {
				t.Errorf("a host was not there for a moment: %+v", f)
			}
		}
	}
}
