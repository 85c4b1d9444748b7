package etcd

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestDismissLeavesNothing(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	grants := Grants{Exports: []string{"file", "exec"}, Keys: []string{"shared"}, Resident: true}
	for _, host := range []string{"gone", "gone2"} { // the second stays
		o := admit(t, s, host, grants)
		c := dial(t, o)
		if err := c.Export(t.Context(), append(exports("file", "x", "gone"), exports("exec", "x")...)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(
			c.PutFacts(t.Context(), Facts{OS: "linux"}),
			c.Report(t.Context(), Report{Settled: true}),
			c.RequestCertificate(t.Context(), []byte("request")),
			c.Put(t.Context(), "shared", new("x")),
			store.PutOrder(t.Context(), host, Order{}),
			store.MarkLeaving(t.Context(), host),
		); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{graphKey(host), certKey(host), exportKey("unknown", host, "x")} {
			if _, err := s.root.Put(t.Context(), key, "{}"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if leaving, err := store.Leaving(t.Context()); err != nil || !slices.Equal(leaving, []string{"gone", "gone2"}) {
		t.Errorf("leaving: %v, %v", leaving, err)
	}
	thief := raw(t, admit(t, s, "gone", grants)) // who has kept its certificate
	before := revisions(t, s, "/")
	for range 2 { // it may be repeated
		if err := store.Dismiss(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
	}
	after := revisions(t, s, "/")
	for key := range before {
		its := slices.Contains(strings.Split(key, "/"), "gone") && !strings.Contains(key, "/gone2/")
		if _, left := after[key]; left == its {
			t.Errorf("%s: left %v", key, left)
		}
	}
	users, err := s.root.UserList(t.Context())
	if err != nil || slices.Contains(users.Users, "host:gone") || !slices.Contains(users.Users, "host:gone2") {
		t.Errorf("users: %v, %v", users, err)
	}
	roles, err := s.root.RoleList(t.Context())
	if err != nil || slices.Contains(roles.Roles, "host:gone") || !slices.Contains(roles.Roles, "host:gone2") {
		t.Errorf("roles: %v, %v", roles, err)
	}

	answers := make(map[string]error)
	_, answers["read its graph"] = thief.Get(t.Context(), graphKey("gone"))
	_, answers["write its report"] = thief.Put(t.Context(), reportKey("gone"), "{}")
	_, answers["export"] = thief.Put(t.Context(), exportKey("file", "gone", "x"), "{}")
	_, answers["read a value"] = thief.Get(t.Context(), valueKey("shared"))
	created := <-thief.Watch(t.Context(), valueKey("shared"), clientv3.WithCreatedNotify())
	answers["watch a value"] = created.Err()
	for what, err := range answers {
		if !errors.Is(err, rpctypes.ErrPermissionDenied) && (err == nil || !strings.Contains(err.Error(), "permission denied")) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

// A host that comes back begins anew, with the rights of then.
func TestDismissedHostIsAdmittedAgain(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	admitted := func(g Grants) Credentials {
		t.Helper()
		c, err := store.Admit(t.Context(), s.Authority(), "a", g)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := admitted(Grants{Exports: []string{"file"}, Resident: true})
	if err := store.Dismiss(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	second := admitted(Grants{Exports: []string{"exec"}})
	if string(first.Key) == string(second.Key) {
		t.Error("it was given the key of then")
	}
	o := adminOptions(s)
	o.Credentials = second
	c := dial(t, o)
	if err := c.Export(t.Context(), exports("exec", "x")); err != nil {
		t.Error(err)
	}
	if err := c.Export(t.Context(), exports("file", "x")); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("export what it might once: got %v", err)
	}
	if _, err := c.etcd.Get(t.Context(), orderKey("a")); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("it is still resident: got %v", err)
	}
}
