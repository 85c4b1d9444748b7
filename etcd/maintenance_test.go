package etcd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A snapshot that came through the store is one that a store is restored from.
func TestStoreSnapshot(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	store := openStore(t, s)
	if _, err := store.PutGraph(t.Context(), "a", Graph{Name: "one"}); err != nil {
		t.Fatal(err)
	}
	mark, err := store.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if own, err := s.mark(); err != nil || own != mark {
		t.Errorf("got mark %+v, the server says %+v, %v", mark, own, err)
	}
	var b bytes.Buffer
	if err := store.Snapshot(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(shortDir(t), "snapshot")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	o := newMember(t, "a", s.Authority())
	if err := Restore(t.Context(), path, o); err != nil {
		t.Fatal(err)
	}
	m := startMember(t, o)
	waitReady(t, m)
	restored := storeOf(t, m)
	if got, err := restored.Mark(t.Context()); err != nil || got != mark {
		t.Errorf("restored is %+v, %v; want %+v", got, err, mark)
	}
	if g, _, err := restored.Graph(t.Context(), "a"); err != nil || g.Name != "one" {
		t.Errorf("got graph %+v, %v", g, err)
	}
	if _, err := store.PutGraph(t.Context(), "a", Graph{Name: "two"}); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Mark(t.Context()); err != nil || got.Hash == mark.Hash || got.Revision != mark.Revision+1 {
		t.Errorf("after a write: got %+v, %v; it was %+v", got, err, mark)
	}
}

func TestDefragmentGivesSpaceBack(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	var last int64
	for range 8 {
		r, err := s.root.Put(t.Context(), "/big", strings.Repeat("x", maxValue))
		if err != nil {
			t.Fatal(err)
		}
		last = r.Header.Revision
	}
	if _, err := s.root.Compact(t.Context(), last, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	before, err := store.Status(t.Context(), s.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Defragment(t.Context(), s.Endpoint()); err != nil {
		t.Fatal(err)
	}
	after, err := store.Status(t.Context(), s.Endpoint())
	if err != nil || after.Size >= before.Size {
		t.Errorf("it took %d bytes, takes %d, %v", before.Size, after.Size, err)
	}
}

func TestDisarm(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	raise := &etcdserverpb.AlarmRequest{
		Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: uint64(s.embedded.Server.MemberID()), Alarm: etcdserverpb.AlarmType_NOSPACE,
	}
	inside := s.embedded.Server.AuthStore().WithRoot(t.Context())
	if _, err := s.embedded.Server.Alarm(inside, raise); err != nil {
		t.Fatal(err)
	}
	if status, err := store.Status(t.Context(), s.Endpoint()); err != nil || !status.Full() || status.Corrupt() {
		t.Errorf("the alarm is not told: %+v, %v", status, err)
	}
	if _, err := s.root.Put(t.Context(), "/k", "v"); err == nil {
		t.Error("a write was taken in spite of the alarm")
	}
	for range 2 {
		if err := store.Disarm(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.root.Put(t.Context(), "/k", "v"); err != nil {
		t.Errorf("after the alarm: %v", err)
	}
}
