package etcd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// newMember returns the options of a member at an address of its own.
func newMember(t *testing.T, name string, a *Authority) MemberOptions {
	t.Helper()
	return MemberOptions{
		Dir: shortDir(t), Name: name, Cluster: "c", Authority: a, Log: discard(),
		Peer: fmt.Sprintf("127.%d.%d.%d:7480", 1+rand.N(254), rand.N(256), 1+rand.N(254)),
	}
}

func startMember(t *testing.T, o MemberOptions) *Serving {
	t.Helper()
	s, err := StartMember(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func waitReady(t *testing.T, s *Serving) {
	t.Helper()
	select {
	case <-s.Ready():
	case <-s.Done():
		t.Fatalf("the member ended: %v", s.Err())
	case <-time.After(patience):
		t.Fatal("the member does not get ready")
	}
}

// waitRemoved waits until s has been told that it is no member.
func waitRemoved(t *testing.T, s *Serving) {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(patience):
		t.Fatal("the member goes on")
	}
	if !errors.Is(s.Err(), ErrRemoved) {
		t.Fatalf("got error %v", s.Err())
	}
}

// snapshotOf fences s and writes a snapshot of it to a file.
func snapshotOf(t *testing.T, s *Server) (path string, m Mark, lift func()) {
	t.Helper()
	lift, err := s.Fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(shortDir(t), "snapshot")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err = s.Snapshot(t.Context(), f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path, m, lift
}

// found starts a store of the one member o with what s holds, whose end it is.
func found(t *testing.T, s *Server, o MemberOptions) *Serving {
	t.Helper()
	path, _, _ := snapshotOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), path, o); err != nil {
		t.Fatal(err)
	}
	m := startMember(t, o)
	waitReady(t, m)
	return m
}

// adminOf returns etcd's own client of the operator at members.
func adminOf(t *testing.T, members ...*Serving) *clientv3.Client {
	t.Helper()
	credentials := operator(t, members[0].options.Authority)
	var endpoints []string
	for _, m := range members {
		endpoints = append(endpoints, m.Endpoint())
	}
	return raw(t, Options{Endpoints: endpoints, Credentials: credentials, Log: discard()})
}

func operator(t *testing.T, a *Authority) Credentials {
	t.Helper()
	c, err := a.Admin()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// must is a call that has to succeed in the end.
func must[T any](t *testing.T, request func(context.Context) (T, error)) T {
	t.Helper()
	var answer T
	eventually(t, "the store answers", func() (err error) {
		answer, err = call(t.Context(), request)
		return err
	})
	return answer
}

// join has o become a voter of the store that admin reaches.
func join(t *testing.T, admin *clientv3.Client, o MemberOptions) *Serving {
	t.Helper()
	peerURL, _, err := URLs(o.Peer)
	if err != nil {
		t.Fatal(err)
	}
	added := must(t, func(ctx context.Context) (*clientv3.MemberAddResponse, error) {
		return admin.MemberAddAsLearner(ctx, []string{peerURL})
	})
	o.Existing, o.Initial = true, make(map[string]string)
	for _, m := range added.Members {
		if m.Name != "" {
			o.Initial[memberHost(m.Name)] = m.PeerURLs[0]
		}
	}
	s := startMember(t, o) // which may not be ready for the first seconds in which it votes
	eventually(t, "promote", func() error {
		_, err := call(t.Context(), func(ctx context.Context) (*clientv3.MemberPromoteResponse, error) {
			return admin.MemberPromote(ctx, added.Member.ID)
		})
		if errors.Is(err, rpctypes.ErrMemberNotLearner) { // the last try did it
			return nil
		}
		return err
	})
	if s.ID() != added.Member.ID {
		t.Errorf("%s has ID %x, was given %x", o.Name, s.ID(), added.Member.ID)
	}
	return s
}

// three starts a store of three members, which holds /k.
func three(t *testing.T) (members []*Serving, admin *clientv3.Client) {
	t.Helper()
	a := startServer(t)
	if _, err := a.root.Put(t.Context(), "/k", "v"); err != nil {
		t.Fatal(err)
	}
	first := found(t, a, newMember(t, "user@a:22", a.Authority()))
	admin = adminOf(t, first)
	members = append(members, first)
	for _, name := range []string{"b", "c=d,e"} {
		members = append(members, join(t, admin, newMember(t, name, a.Authority())))
	}
	for _, m := range members {
		waitReady(t, m)
	}
	return members, admin
}

func put(t *testing.T, c *clientv3.Client, key string) {
	t.Helper()
	must(t, func(ctx context.Context) (*clientv3.PutResponse, error) { return c.Put(ctx, key, "v") })
}

func has(t *testing.T, c *clientv3.Client, key string) bool {
	t.Helper()
	got := must(t, func(ctx context.Context) (*clientv3.GetResponse, error) { return c.Get(ctx, key) })
	return len(got.Kvs) == 1
}

func remove(t *testing.T, admin *clientv3.Client, id uint64) {
	t.Helper()
	must(t, func(ctx context.Context) (*clientv3.MemberRemoveResponse, error) { return admin.MemberRemove(ctx, id) })
}

// use has clients of all sorts keep a member busy, whether it answers or not.
func use(t *testing.T, s *Serving) {
	t.Helper()
	c := adminOf(t, s)
	lease := must(t, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) { return c.Grant(ctx, 60) })
	alive, err := c.KeepAlive(t.Context(), lease.ID)
	if err != nil {
		t.Fatal(err)
	}
	background(t, func(context.Context) error {
		for range alive {
		}
		return nil
	})
	for i := range 8 {
		key := fmt.Sprint("/busy/", i)
		background(t, func(ctx context.Context) error {
			for ctx.Err() == nil {
				_, _ = c.Put(ctx, key, "v", clientv3.WithLease(lease.ID))
				_, _ = c.Get(ctx, key)
				_, _ = c.Get(ctx, "/", clientv3.WithPrefix(), clientv3.WithSerializable())
			}
			return nil
		})
		background(t, func(ctx context.Context) error {
			for range c.Watch(ctx, "/busy/", clientv3.WithPrefix()) {
			}
			return nil
		})
	}
	put(t, c, "/busy")
}
