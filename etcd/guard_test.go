package etcd

import (
	"context"
	"errors"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// TestLeasesAreTheirOwners has a host try every lease call, with leases of its own and of others.
func TestLeasesAreTheirOwners(t *testing.T) {
	s := startServer(t)
	a := raw(t, admit(t, s, "a", Grants{Exports: []string{"file"}}))
	b := raw(t, admit(t, s, "b", Grants{Exports: []string{"file"}}))
	mine, err := b.Grant(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	empty, err := a.Grant(t.Context(), 60) // of which etcd lets everybody dispose
	if err != nil {
		t.Fatal(err)
	}
	operators, err := s.root.Grant(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	put := func(lease clientv3.LeaseID) clientv3.Op {
		return clientv3.OpPut(exportKey("file", "b", "x"), "{}", clientv3.WithLease(lease))
	}
	calls := map[string]func(context.Context, clientv3.LeaseID) error{
		"keep alive": func(ctx context.Context, l clientv3.LeaseID) error { _, err := b.KeepAliveOnce(ctx, l); return err },
		"put under":  func(ctx context.Context, l clientv3.LeaseID) error { _, err := b.Do(ctx, put(l)); return err },
		"put under in a transaction": func(ctx context.Context, l clientv3.LeaseID) error {
			_, err := b.Txn(ctx).Then(put(l)).Commit()
			return err
		},
		"put under otherwise": func(ctx context.Context, l clientv3.LeaseID) error {
			_, err := b.Txn(ctx).Then().Else(put(l)).Commit()
			return err
		},
		"put under in a transaction within": func(ctx context.Context, l clientv3.LeaseID) error {
			_, err := b.Txn(ctx).Then(clientv3.OpTxn(nil, []clientv3.Op{put(l)}, nil)).Commit()
			return err
		},
	}
	for what, call := range calls {
		if err := call(t.Context(), mine.ID); err != nil {
			t.Errorf("%s its own lease: %v", what, err)
		}
	}
	calls["revoke"] = func(ctx context.Context, l clientv3.LeaseID) error { _, err := b.Revoke(ctx, l); return err }
	for what, call := range calls {
		for of, lease := range map[string]clientv3.LeaseID{"another's": empty.ID, "the operator's": operators.ID} {
			if err := call(t.Context(), lease); !denied(err) {
				t.Errorf("%s %s lease: got %v, want permission denied", what, of, err)
			}
		}
	}
	if err := calls["revoke"](t.Context(), mine.ID); err != nil {
		t.Errorf("revoke its own lease: %v", err)
	}
}

// A lease's number is the guard's to choose, not the host's.
func TestALeaseCannotBeMadeAnothers(t *testing.T) {
	r := &etcdserverpb.LeaseGrantRequest{ID: newLease("host:a")}
	if !mayLease("host:b", r) || !ownLease("host:b", r.ID) || ownLease("host:a", r.ID) {
		t.Errorf("b got lease %x", r.ID)
	}
}

func denied(err error) bool { return errors.Is(err, rpctypes.ErrPermissionDenied) }

// Nobody passes whom the certificate authority of the store does not name a host or the operator.
func TestOthersMayCallNothing(t *testing.T) {
	s := startServer(t)
	for _, name := range []string{peerName, serverName, "", "host", "Root"} {
		cert, key, err := s.authority.client(name)
		if err != nil {
			t.Fatal(err)
		}
		o := admit(t, s, "a", Grants{})
		o.Credentials.Cert, o.Credentials.Key = cert, key
		if _, err := raw(t, o).Get(t.Context(), "/spore/sync"); !denied(err) {
			t.Errorf("%q: got %v, want permission denied", name, err)
		}
	}
}

// A host that is dismissed gets no more of what it had begun, whichever member it is connected to,
// and may not so much as keep its lease.
func TestTheDismissedAreExpelled(t *testing.T) {
	t.Parallel()
	members, _ := three(t)
	admin := members[0].options.Authority
	open := func(c Credentials, m *Serving) Options {
		return Options{Endpoints: []string{m.Endpoint()}, Credentials: c, Log: discard()}
	}
	store, err := Open(t.Context(), open(operator(t, admin), members[0]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	admitted := func(host string) Credentials {
		c, err := store.Admit(t.Context(), admin, host, Grants{Keys: []string{"k"}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	gone, stays := admitted("gone"), admitted("stays")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	watch := func(c *clientv3.Client) clientv3.WatchChan {
		w := c.Watch(ctx, valueKey("k"), clientv3.WithCreatedNotify())
		if created := <-w; created.Err() != nil {
			t.Fatal(created.Err())
		}
		return w
	}
	type hold struct {
		*clientv3.Client
		lease clientv3.LeaseID
		watch clientv3.WatchChan
		beat  etcdserverpb.Lease_LeaseKeepAliveClient
	}
	var holds []hold
	for _, m := range members {
		c := raw(t, open(gone, m))
		lease := must(t, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) { return c.Grant(ctx, 60) })
		beat, err := etcdserverpb.NewLeaseClient(c.ActiveConnection()).LeaseKeepAlive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		holds = append(holds, hold{c, lease.ID, watch(c), beat})
	}
	other := watch(raw(t, open(stays, members[1])))
	if err := store.Dismiss(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	for i, h := range holds {
		answers := make(map[string]error)
		for resp := range h.watch {
			answers["watch"] = resp.Err()
		}
		_, answers["keep alive on"] = h.beat.Recv()
		_, answers["grant"] = h.Grant(ctx, 60)
		_, answers["keep alive"] = call(ctx, func(ctx context.Context) (*clientv3.LeaseKeepAliveResponse, error) {
			return h.KeepAliveOnce(ctx, h.lease)
		})
		_, answers["revoke"] = h.Revoke(ctx, h.lease)
		_, answers["get"] = h.Get(ctx, valueKey("k"))
		for what, err := range answers {
			if !denied(rpctypes.Error(err)) {
				t.Errorf("%s at member %d: got %v, want permission denied", what, i, err)
			}
		}
	}
	put(t, adminOf(t, members[2]), valueKey("k"))
	if resp := <-other; resp.Err() != nil || len(resp.Events) != 1 {
		t.Errorf("who stays is told %+v (%v)", resp.Events, resp.Err())
	}
}
