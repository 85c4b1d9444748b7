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

// TestHostsMayCallLittle has a host try what etcd itself leaves open to whoever has a certificate.
func TestHostsMayCallLittle(t *testing.T) {
	s := startServer(t)
	b := raw(t, admit(t, s, "b", Grants{}))
	for what, call := range map[string]func(context.Context) error{
		"list members": func(ctx context.Context) error { _, err := b.MemberList(ctx); return err },
		"ask status":   func(ctx context.Context) error { _, err := b.Status(ctx, s.Endpoint()); return err },
		"list leases":  func(ctx context.Context) error { _, err := b.Leases(ctx); return err },
		"list alarms":  func(ctx context.Context) error { _, err := b.AlarmList(ctx); return err },
		"move leader":  func(ctx context.Context) error { _, err := b.MoveLeader(ctx, 1); return err },
		"hash":         func(ctx context.Context) error { _, err := b.HashKV(ctx, s.Endpoint(), 0); return err },
		"log in":       func(ctx context.Context) error { _, err := b.Authenticate(ctx, "root", ""); return err },
		"list users":   func(ctx context.Context) error { _, err := b.UserList(ctx); return err },
		"auth status":  func(ctx context.Context) error { _, err := b.AuthStatus(ctx); return err },
	} {
		if err := call(t.Context()); !denied(err) {
			t.Errorf("%s: got %v, want permission denied", what, err)
		}
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
