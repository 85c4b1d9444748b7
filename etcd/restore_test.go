package etcd

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A store that has lost two of three goes on with what the last one knows, and grows again.
func TestAStoreIsRevived(t *testing.T) {
	t.Parallel()
	members, admin := three(t)
	lease := must(t, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) { return admin.Grant(ctx, 600) })
	must(t, func(ctx context.Context) (*clientv3.PutResponse, error) {
		return admin.Put(ctx, "/leased", "v", clientv3.WithLease(lease.ID))
	})
	last := members[2]
	put(t, adminOf(t, last), "/last") // which it has to know to answer
	before := must(t, func(ctx context.Context) (*clientv3.GetResponse, error) { return adminOf(t, last).Get(ctx, "/last") })
	for _, m := range members {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	o := last.options
	o.Peer = newMember(t, "", nil).Peer // it may have moved
	if err := Revive(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	revived := startMember(t, o)
	waitReady(t, revived)
	if revived.ID() == last.ID() {
		t.Error("its old fellows would take it for the member they knew")
	}
	admin = adminOf(t, revived)
	after := must(t, func(ctx context.Context) (*clientv3.GetResponse, error) { return admin.Get(ctx, "/last") })
	if len(after.Kvs) != 1 || after.Kvs[0].ModRevision != before.Kvs[0].ModRevision {
		t.Errorf("the last write: got %v, had %v", after.Kvs, before.Kvs)
	}
	must(t, func(ctx context.Context) (*clientv3.LeaseRevokeResponse, error) { return admin.Revoke(ctx, lease.ID) })
	if has(t, admin, "/leased") {
		t.Error("a key outlived its lease")
	}
	join(t, admin, newMember(t, "b", o.Authority))
	left, err := filepath.Glob(filepath.Join(o.Dir, dataName+"*"))
	if err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A revival that was interrupted between its last steps is finished by the next.
func TestARevivalIsFinished(t *testing.T) {
	t.Parallel()
	a := startServer(t)
	put(t, a.root, "/k")
	o := newMember(t, "a", a.Authority())
	if err := found(t, a, o).Close(); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(o.Dir, dataName)
	if err := os.Rename(data, data+".revived"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(data+".lost", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Revive(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	m := startMember(t, o)
	waitReady(t, m)
	if !has(t, adminOf(t, m), "/k") || exists(data+".lost") {
		t.Error("the revival is not finished")
	}
	empty := newMember(t, "b", o.Authority)
	if err := Revive(t.Context(), empty); err == nil || exists(filepath.Join(empty.Dir, dataName)) {
		t.Errorf("nothing was revived: %v", err)
	}
}

func TestAStoreHasOneUser(t *testing.T) {
	t.Parallel()
	a := startServer(t)
	o := newMember(t, "a", a.Authority())
	m := found(t, a, o)
	if _, err := StartMember(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second member on the same data: %v", err)
	}
	if err := Revive(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("revive what is alive: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), "", o); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("restore over a store: %v", err)
	}
	waitReady(t, startMember(t, o))
}

func TestADamagedSnapshotIsRefused(t *testing.T) {
	s := startServer(t)
	path, _, _ := snapshotOf(t, s)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string]func([]byte) []byte{
		"a changed byte": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"the end lost":   func(b []byte) []byte { return b[:len(b)-100] },
		"only half":      func(b []byte) []byte { return b[:len(b)/2] },
		"nothing":        func([]byte) []byte { return nil },
	} {
		if err := os.WriteFile(path, damage(slices.Clone(content)), 0o600); err != nil {
			t.Fatal(err)
		}
		o := newMember(t, "a", s.Authority())
		if err := Restore(t.Context(), path, o); err == nil {
			t.Errorf("%s: restored", what)
		}
		if left, _ := filepath.Glob(filepath.Join(o.Dir, dataName+"*")); len(left) > 0 {
			t.Errorf("%s: left %v", what, left)
		}
	}
}
