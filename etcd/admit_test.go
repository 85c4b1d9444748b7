package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// raw returns etcd's own client with o's credentials: what a thief of them would use.
func raw(t *testing.T, o Options) *clientv3.Client {
	t.Helper()
	c, err := o.connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestAHostMayDoWhatItIsGrantedAndNoMore(t *testing.T) {
	s := startServer(t)
	a := dial(t, admit(t, s, "a", Grants{Exports: []string{"file", "secret"}, Keys: []string{"of-a", "shared"}}))
	if err := a.Export(t.Context(), append(exports("file", "x"), exports("secret", "y")...)); err != nil {
		t.Fatal(err)
	}
	lease := a.session.lease
	b := raw(t, admit(t, s, "b", Grants{Exports: []string{"file"}, Collects: []string{"file"}, Keys: []string{"shared"}}))

	put := func(key string, o ...clientv3.OpOption) func(context.Context) error {
		return func(ctx context.Context) error { _, err := b.Put(ctx, key, "{}", o...); return err }
	}
	get := func(key string, o ...clientv3.OpOption) func(context.Context) error {
		return func(ctx context.Context) error { _, err := b.Get(ctx, key, o...); return err }
	}
	watch := func(key string, o ...clientv3.OpOption) func(context.Context) error {
		return func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			resp := <-b.Watch(ctx, key, append(o, clientv3.WithCreatedNotify())...)
			return resp.Err()
		}
	}
	under := clientv3.WithPrefix()
	for what, do := range map[string]func(context.Context) error{
		"read own graph":        get(graphKey("b")),
		"watch own graph":       watch(graphKey("b")),
		"write own report":      put(reportKey("b")),
		"write own facts":       put(factsKey("b")),
		"write own export":      put(exportKey("file", "b", "x")),
		"read what it collects": get(kindPrefix("file"), under),
		"watch what it follows": watch(kindPrefix("file"), under),
		"read its value":        get(valueKey("shared")),
		"write its value":       put(valueKey("shared")),
		"follow the operator":   watch(syncKey),
	} {
		if err := do(t.Context()); err != nil {
			t.Errorf("%s: refused: %v", what, err)
		}
	}
	for what, do := range map[string]func(context.Context) error{
		"write a's graph":            put(graphKey("a")),
		"read a's graph":             get(graphKey("a")),
		"write own graph":            put(graphKey("b")),
		"read all graphs":            get(graphsPrefix, under),
		"write a's report":           put(reportKey("a")),
		"read a's report":            get(reportKey("a")),
		"write a's export":           put(exportKey("file", "a", "x")),
		"take away a's export":       func(ctx context.Context) error { _, err := b.Delete(ctx, exportKey("file", "a", "x")); return err },
		"take away all exports":      func(ctx context.Context) error { _, err := b.Delete(ctx, kindPrefix("file"), under); return err },
		"export another kind":        put(exportKey("exec", "b", "x")),
		"pose as a by a longer name": put(exportKey("file", "a/x", "b")),
		"read another kind":          get(kindPrefix("secret"), under),
		"watch another kind":         watch(kindPrefix("secret"), under),
		"watch everything":           watch(prefix, under),
		"read a's value":             get(valueKey("of-a")),
		"write a's value":            put(valueKey("of-a")),
		"read all values":            get(valuesPrefix, under),
		"ask the fleet":              put(syncKey),
		"write beside spore":         put("/other"),
		"revoke a's lease":           func(ctx context.Context) error { _, err := b.Revoke(ctx, lease); return err },
		"keep a's lease alive":       func(ctx context.Context) error { _, err := b.KeepAliveOnce(ctx, lease); return err },
		"list leases":                func(ctx context.Context) error { _, err := b.Leases(ctx); return err },
		"list what a's lease holds": func(ctx context.Context) error {
			_, err := b.TimeToLive(ctx, lease, clientv3.WithAttachedKeys())
			return err
		},
		"put under a's lease": put(exportKey("file", "b", "x"), clientv3.WithLease(lease)),
		"add a member":        func(ctx context.Context) error { _, err := b.MemberAdd(ctx, []string{"http://x:1"}); return err },
		"add a learner": func(ctx context.Context) error {
			_, err := b.MemberAddAsLearner(ctx, []string{"http://x:1"})
			return err
		},
		"remove the member": func(ctx context.Context) error {
			_, err := b.MemberRemove(ctx, uint64(s.embedded.Server.MemberID()))
			return err
		},
		"add a user": func(ctx context.Context) error { _, err := b.UserAdd(ctx, "eve", "x"); return err },
		"grant itself a right": func(ctx context.Context) error {
			_, err := b.RoleGrantPermission(ctx, "host:b", "/", "0", readWrite)
			return err
		},
		"disable authentication": func(ctx context.Context) error { _, err := b.AuthDisable(ctx); return err },
		"defragment":             func(ctx context.Context) error { _, err := b.Defragment(ctx, s.Endpoint()); return err },
		"take a snapshot": func(ctx context.Context) error {
			r, err := b.Snapshot(ctx)
			if err == nil {
				_, err = r.Read(make([]byte, 1))
			}
			return err
		},
		"compact": func(ctx context.Context) error { _, err := b.Compact(ctx, 1); return err },
	} {
		if err := do(t.Context()); !errors.Is(err, rpctypes.ErrPermissionDenied) && (err == nil || !strings.Contains(err.Error(), "permission denied")) {
			t.Errorf("%s: got %v, want permission denied", what, err)
		}
	}
}

func TestGrantsChange(t *testing.T) {
	s := startServer(t)
	o := admit(t, s, "b", Grants{Exports: []string{"old"}, Collects: []string{"old"}, Keys: []string{"old"}})
	b := raw(t, o)
	admit(t, s, "b", Grants{Exports: []string{"new"}, Collects: []string{"new"}, Keys: []string{"new"}})
	read := func(key string) error { _, err := b.Get(t.Context(), key); return err }
	for key, want := range map[string]bool{
		kindPrefix("new"): true, kindPrefix("old"): false,
		valueKey("new"): true, valueKey("old"): false,
		// It has to be able to withdraw what it exported.
		exportPrefix("new", "b"): true, exportPrefix("old", "b"): true,
	} {
		if err := read(key); (err == nil) != want {
			t.Errorf("read %s: got %v, want allowed %v", key, err, want)
		}
	}
}

// Each change of anybody's rights makes etcd refuse the requests that are under way.
func TestRequestsOutliveTheAdmissionOfOthers(t *testing.T) {
	s := startServer(t)
	a := dial(t, admit(t, s, "a", Grants{Keys: []string{"k"}, Exports: []string{"file"}, Collects: []string{"file"}}))
	found := collect(t, a, "file")
	var writing sync.WaitGroup
	for w := range 4 {
		writing.Go(func() {
			for i := range 100 {
				value := fmt.Sprint(w, i)
				if err := a.Put(t.Context(), "k", &value); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 20 {
		admit(t, s, fmt.Sprint("host", i), Grants{Collects: []string{"file"}, Exports: []string{"file"}})
	}
	writing.Wait()
	if err := a.Export(t.Context(), exports("file", "x")); err != nil {
		t.Fatal(err)
	}
	found.wait(t, "the export is seen", func(l []string) bool { return len(l) == 1 })
}

// What is prepared is not done again, and a host that is only prepared is nobody yet.
func TestPrepare(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	grants := Grants{Exports: []string{"file"}}
	if err := store.Prepare(t.Context(), map[string]Grants{"a": grants, "b": grants}); err != nil {
		t.Fatal(err)
	}
	users, err := s.root.UserList(t.Context())
	if err != nil || len(users.Users) != 1 {
		t.Errorf("there are users %v, %v: want root alone", users, err)
	}
	before, err := s.root.AuthStatus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := store.Admit(t.Context(), s.Authority(), "a", grants)
	if err != nil {
		t.Fatal(err)
	}
	after, err := s.root.AuthStatus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if changes := after.AuthRevision - before.AuthRevision; changes != 2 {
		t.Errorf("to admit a host that is prepared took %d changes, want 2: the user, and its role", changes)
	}
	a := dial(t, Options{Endpoints: []string{s.Endpoint()}, Credentials: credentials, Log: discard()})
	if err := a.Export(t.Context(), exports("file", "x")); err != nil {
		t.Error(err)
	}
}
