package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// limit gives a host a budget that time does not change: to hold and to write so much and no more.
func limit(s *Server, host string, most int, writes rate.Limit, burst int) {
	s.guard.budgets.Store(hostName+host, &budget{rate: rate.NewLimiter(writes, burst), most: most})
}

// exhaust makes call after call until one is refused for what the budget says, and returns how many
// were not.
func exhaust(t *testing.T, atMost int, why error, call func(i int) error) int {
	t.Helper()
	for i := range atMost + 1 {
		if err := call(i); err != nil {
			if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), status.Convert(why).Message()) {
				t.Fatalf("call %d: got %v, want %v", i, err, why)
			}
			return i
		}
	}
	t.Fatalf("%d calls were let through, want %v", atMost+1, why)
	return 0
}

// A host that is hostile holds its share of the store, and the others go on.
func TestAHostHoldsItsShareAlone(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := raw(t, admit(t, s, "b", Grants{Exports: []string{"file", "exec"}, Keys: []string{"k"}}))
	const most = 1 << 20
	limit(s, "b", most, rate.Inf, 0)
	large := strings.Repeat("x", most/10)
	key := func(name string) string { return exportKey([]string{"file", "exec"}[len(name)%2], "b", name) }
	put := func(name, value string) error { _, err := b.Put(t.Context(), key(name), value); return err }
	if n := exhaust(t, 10, errHeld, func(i int) error { return put(fmt.Sprint(i), large) }); n != 9 {
		t.Errorf("it may have %d values of a tenth", n)
	}
	exhaust(t, 100, errHeld, func(i int) error { return put(fmt.Sprint("small", i), "") })
	exhaust(t, 0, errHeld, func(int) error { _, err := b.Put(t.Context(), hostPrefix("b")+"x", large); return err })
	txn := clientv3.OpTxn(nil, nil, []clientv3.Op{clientv3.OpPut(exportKey("file", "b", "y"), large)})
	exhaust(t, 0, errHeld, func(int) error { _, err := b.Txn(t.Context()).Then(txn).Commit(); return err })
	held := 0
	for _, kv := range must(t, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.root.Get(ctx, prefix, clientv3.WithPrefix())
	}).Kvs {
		held += len(kv.Key) + len(kv.Value) + keyCost
	}
	if held > most || held < most-2*keyCost {
		t.Errorf("it holds %d bytes, want about %d", held, most)
	}
	a := raw(t, admit(t, s, "a", Grants{Exports: []string{"file"}}))
	if _, err := a.Put(t.Context(), exportKey("file", "a", "x"), large); err != nil {
		t.Errorf("another host: %v", err)
	}
	if _, err := b.Delete(t.Context(), key("0")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what went is counted no more", func() error { return put("0", large) })
}

// etcd keeps the past for a while, so a store can be filled with one key.
func TestAHostWritesItsShareAlone(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := raw(t, admit(t, s, "b", Grants{Keys: []string{"k"}}))
	key, large := valueKey("k"), strings.Repeat("x", maxValue)
	writes := map[string]func() error{
		"put":    func() error { _, err := b.Put(t.Context(), key, large); return err },
		"delete": func() error { _, err := b.Delete(t.Context(), key); return err },
		"grant": func() error {
			l, err := b.Grant(t.Context(), 60)
			if err == nil {
				_, err = b.Revoke(t.Context(), l.ID)
			}
			return err
		},
		"transaction": func() error {
			_, err := b.Txn(t.Context()).Then(clientv3.OpPut(key, large[:maxValue/2])).Else(clientv3.OpPut(key, large[:maxValue/2])).Commit()
			return err
		},
		"the same value": func() error { _, err := b.Put(t.Context(), key, "", clientv3.WithIgnoreValue()); return err },
	}
	for what, write := range writes {
		cost := maxValue
		if what == "delete" || what == "grant" {
			cost = keyCost
		}
		limit(s, "b", maxHeld, rate.Inf, 0)
		if err := writes["put"](); err != nil { // for there to be a value
			t.Fatal(err)
		}
		limit(s, "b", maxHeld, 0, 8*cost)
		n := exhaust(t, 8, errHaste, func(int) error { return write() })
		if n < 3 {
			t.Errorf("%s: only %d times", what, n)
		}
		if _, err := b.Get(t.Context(), key); err != nil {
			t.Errorf("%s: cannot read any more: %v", what, err)
		}
	}
	limit(s, "b", maxHeld, rate.Inf, 0)
	if _, err := b.Put(t.Context(), key, large+"x"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("more than the store takes in one value: got %v", err)
	}
}

func TestAHostHasFewLeases(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := raw(t, admit(t, s, "b", Grants{}))
	var leases []clientv3.LeaseID
	grant := func() error {
		l, err := b.Grant(t.Context(), 3600)
		if err == nil {
			leases = append(leases, l.ID)
		}
		return err
	}
	if n := exhaust(t, maxLeases, errLeases, func(int) error { return grant() }); n != maxLeases {
		t.Errorf("it may have %d leases, want %d", n, maxLeases)
	}
	if _, err := raw(t, admit(t, s, "a", Grants{})).Grant(t.Context(), 60); err != nil {
		t.Errorf("another host: %v", err)
	}
	if _, err := b.Revoke(t.Context(), leases[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was revoked is counted no more", grant)
}

// A host that exports too much is told, and does what it has to once it exports less.
func TestExportTooMuch(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := dial(t, admit(t, s, "a", Grants{Exports: []string{"file"}}))
	limit(s, "a", maxOps*keyCost*3/2, rate.Inf, 0)
	var names []string
	for i := range 2 * maxOps {
		names = append(names, fmt.Sprint(i))
	}
	if err := c.Export(t.Context(), exports("file", names...)); err == nil || !strings.Contains(err.Error(), "32 MiB") {
		t.Errorf("got error %v", err)
	}
	eventually(t, "export less", func() error { return c.Export(t.Context(), exports("file", names[:10]...)) })
	found := must(t, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.root.Get(ctx, exportsPrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	})
	if len(found.Kvs) != 10 {
		t.Errorf("it exports %d files, want 10", len(found.Kvs))
	}
}

// What a budget counts is the host's alone: of a value that several may write nobody knows whose it is.
func TestTheWritesOfOthersAreNotCounted(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	shared := Grants{Keys: []string{"1", "2"}, Exports: []string{"file"}, Collects: []string{"file"}}
	a, b := raw(t, admit(t, s, "a", shared)), raw(t, admit(t, s, "b", shared))
	large := strings.Repeat("x", maxValue)
	for _, key := range []string{valueKey("1"), valueKey("2"), exportKey("file", "b", "x")} {
		if _, err := b.Put(t.Context(), key, large); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Put(t.Context(), exportKey("file", "a", "x"), large); err != nil {
		t.Fatal(err)
	}
	held, err := heldBy(t.Context(), s.embedded.Server, hostName+"a")
	if want := maxValue + keyCost + len(exportKey("file", "a", "x")); err != nil || held != want {
		t.Errorf("a holds %d bytes (%v), want %d", held, err, want)
	}
	if _, err := heldBy(t.Context(), s.embedded.Server, hostName+"nobody"); !errors.Is(rpctypes.Error(err), rpctypes.ErrPermissionDenied) {
		t.Errorf("of nobody: got %v", err)
	}
}
