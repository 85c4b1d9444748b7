package etcd

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
)

// storeOf returns the operator's view of the store that members serve.
func storeOf(t *testing.T, members ...*Serving) *Store {
	t.Helper()
	o := Options{Credentials: operator(t, members[0].options.Authority), Log: discard()}
	for _, m := range members {
		o.Endpoints = append(o.Endpoints, m.Endpoint())
	}
	store, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func memberOf(t *testing.T, s *Store, id uint64) (Member, bool) {
	t.Helper()
	members, err := s.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(members, func(m Member) bool { return m.ID == id })
	if i < 0 {
		return Member{}, false
	}
	return members[i], true
}

// A member comes and goes, by calls whose answers may be lost: each is made twice.
func TestMembersChange(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	ao := newMember(t, "a", server.Authority())
	a := found(t, server, ao)
	store := storeOf(t, a)
	bo := newMember(t, "b, or=so", server.Authority())
	peerURL, clientURL, err := URLs(bo.Peer)
	if err != nil {
		t.Fatal(err)
	}
	id, err := store.AddLearner(t.Context(), peerURL)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := store.AddLearner(t.Context(), peerURL); err != nil || again != id {
		t.Errorf("add it again: got %x, %v; want %x", again, err, id)
	}
	if got, _ := memberOf(t, store, id); got != (Member{ID: id, Peer: bo.Peer, Learner: true}) {
		t.Errorf("before it starts: %+v", got)
	}
	if err := store.Promote(t.Context(), id); err == nil {
		t.Error("promoted a member that has never been there")
	}
	ownURL, _, err := URLs(ao.Peer)
	if err != nil {
		t.Fatal(err)
	}
	bo.Existing, bo.Initial = true, map[string]string{"a": ownURL}
	b := startMember(t, bo)
	for range 2 {
		eventually(t, "promote", func() error { return store.Promote(t.Context(), id) })
	}
	waitReady(t, b)
	want := Member{ID: id, Host: "b, or=so", Peer: bo.Peer, Client: clientURL}
	eventually(t, "the member tells its name", func() error {
		if got, _ := memberOf(t, store, id); got != want {
			return fmt.Errorf("got %+v, want %+v", got, want)
		}
		return nil
	})
	if _, err := store.AddLearner(t.Context(), peerURL); err == nil {
		t.Error("a voter was added as a learner")
	}

	for _, to := range []uint64{id, id, a.ID()} {
		eventually(t, "move the leader", func() error { return store.MoveLeader(t.Context(), to) })
		for _, endpoint := range []string{a.Endpoint(), clientURL} {
			eventually(t, "the leader is known", func() error {
				status, err := store.Status(t.Context(), endpoint)
				if err == nil && status.Leader != to {
					err = fmt.Errorf("%x leads, not %x", status.Leader, to)
				}
				return err
			})
		}
	}
	for range 2 {
		eventually(t, "remove", func() error { return store.Remove(t.Context(), id) })
	}
	waitRemoved(t, b)
	if _, ok := memberOf(t, store, id); ok {
		t.Error("the removed member is still there")
	}
}

func TestStatusIsOfThatMember(t *testing.T) {
	t.Parallel()
	members, _ := three(t)
	store := storeOf(t, members...)
	for _, m := range members {
		_, clientURL, err := URLs(m.options.Peer)
		if err != nil {
			t.Fatal(err)
		}
		for _, endpoint := range []string{m.Endpoint(), clientURL} {
			var got MemberStatus
			eventually(t, "it tells how it stands", func() (err error) {
				got, err = store.Status(t.Context(), endpoint)
				return err
			})
			if got.ID != m.ID() || got.Leader == 0 || got.Version == "" || got.Size < got.InUse || got.InUse <= 0 ||
				got.Learner || got.Revision == 0 || len(got.Errors) > 0 {
				t.Errorf("%s: got %+v", m.options.Name, got)
			}
		}
	}
	_, clientURL, err := URLs(members[2].options.Peer)
	if err != nil {
		t.Fatal(err)
	}
	if err := members[2].Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Status(t.Context(), clientURL); err == nil {
		t.Errorf("a member that is down answers %+v", got)
	}
}

// A host that is asked and never answers holds nobody up.
func TestStatusIsBounded(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	o := adminOptions(s)
	l, err := net.Listen("tcp", "127.0.0.1:0") // of which nobody takes up what comes
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silent := "https://" + l.Addr().String()
	o.Endpoints = []string{silent}
	store, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := store.Status(ctx, silent); err == nil {
		t.Error("got an answer of nobody")
	}
	if ctx.Err() != nil {
		t.Error("it waits for as long as it is let")
	}
}
