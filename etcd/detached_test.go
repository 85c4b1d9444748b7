package etcd

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A host of a detached fleet reads what is meant for it, and nothing that is meant for another.
func TestWhatAResidentMayDo(t *testing.T) {
	s := startServer(t)
	_, digest := content(1)
	_, others := content(2)
	admit(t, s, "a", Grants{Resident: true, Bundle: others})
	o := admit(t, s, "b", Grants{Resident: true, Bundle: digest})
	attached := raw(t, admit(t, s, "c", Grants{}))
	b := raw(t, o)
	get := func(c *clientv3.Client, key string, o ...clientv3.OpOption) error {
		_, err := c.Get(t.Context(), key, o...)
		return err
	}
	put := func(c *clientv3.Client, key string) error { _, err := c.Put(t.Context(), key, ""); return err }
	under := clientv3.WithPrefix()
	allowed := func() {
		t.Helper()
		for what, err := range map[string]error{
			"read where the store is":   get(b, endpointsKey),
			"read its order":            get(b, orderKey("b")),
			"read its certificate":      get(b, certKey("b")),
			"read its bundle":           get(b, filesPrefixOf(digest), under),
			"ask for a certificate":     put(b, requestKey("b")),
			"read what it has asked":    get(b, requestKey("b")),
			"read a part of the bundle": get(b, partKey(digest, 3)),
		} {
			if err != nil {
				t.Errorf("%s: refused: %v", what, err)
			}
		}
	}
	allowed()
	for what, err := range map[string]error{
		"read a's order":                      get(b, orderKey("a")),
		"read all orders":                     get(b, ordersPrefix, under),
		"write its order":                     put(b, orderKey("b")),
		"read a's certificate":                get(b, certKey("a")),
		"write its certificate":               put(b, certKey("b")),
		"read a's request":                    get(b, requestKey("a")),
		"ask for a certificate of a":          put(b, requestKey("a")),
		"read a's bundle":                     get(b, partKey(others, 0)),
		"read all bundles":                    get(b, filesPrefix, under),
		"write its bundle":                    put(b, partKey(digest, 0)),
		"say where the store is":              put(b, endpointsKey),
		"read what the cluster is":            get(b, clusterKey),
		"say what the cluster is":             put(b, clusterKey),
		"have a dismissed":                    put(b, leavingKey("a")),
		"take the lock":                       put(b, stewardPrefix+"1"),
		"while attached, read the order":      get(attached, orderKey("c")),
		"while attached, find the store":      get(attached, endpointsKey),
		"while attached, read certificates":   get(attached, certKey("c")),
		"while attached, read bundles":        get(attached, filesPrefix, under),
		"while attached, read another's host": get(attached, requestKey("b")),
	} {
		if !errors.Is(err, rpctypes.ErrPermissionDenied) {
			t.Errorf("%s: got %v, want permission denied", what, err)
		}
	}
	admit(t, s, "b", Grants{}) // by an initiator that knows nothing of it
	allowed()
}

func TestRegrant(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	if err := store.Regrant(t.Context(), "a", Grants{}); err == nil || !strings.Contains(err.Error(), "has not been admitted") {
		t.Errorf("regrant a stranger: got %v", err)
	}
	if roles, err := s.root.RoleList(t.Context()); err != nil || slices.Contains(roles.Roles, "host:a") {
		t.Errorf("a stranger has a role: %v, %v", roles, err)
	}
	a := dial(t, admit(t, s, "a", Grants{Keys: []string{"old"}}))
	if err := store.Regrant(t.Context(), "a", Grants{Keys: []string{"new"}}); err != nil {
		t.Fatal(err)
	}
	if err := a.Put(t.Context(), "new", new("x")); err != nil {
		t.Error(err)
	}
	if err := a.Put(t.Context(), "old", new("x")); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("what it may no more: got %v", err)
	}
	if _, err := a.etcd.Get(t.Context(), orderKey("a")); err != nil {
		t.Errorf("it is not resident: %v", err)
	}
}

// A fresh host costs a call for each right and three for its user, whatever else is in the store.
func TestAdmissionCost(t *testing.T) {
	s := startServer(t)
	revision := func() uint64 {
		r, err := s.root.AuthStatus(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r.AuthRevision
	}
	store := openStore(t, s)
	for _, host := range []string{"a", "b"} {
		before := revision()
		for range 2 { // the second time costs nothing
			g := Grants{Exports: []string{"file"}, Collects: []string{"file"}, Keys: []string{"k"}}
			if _, err := store.Admit(t.Context(), s.Authority(), host, g); err != nil {
				t.Fatal(err)
			}
			if n := revision() - before; n != 3+6 {
				t.Errorf("%s: %d changes of rights", host, n)
			}
		}
	}
	before := revision()
	admit(t, s, "a", Grants{Exports: []string{"file"}, Collects: []string{"file"}, Keys: []string{"k"}})
	if n := revision() - before; n != 0 {
		t.Errorf("another initiator made %d changes of rights that were there", n)
	}
}

func TestCommitOnce(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	if _, ok, err := store.Cluster(t.Context()); ok || err != nil {
		t.Errorf("a new store belongs to a cluster: %v, %v", ok, err)
	}
	c := Cluster{ID: "1", Name: "home", Founded: time.Unix(1e9, 0).UTC(), Ideal: 3, MemberTimeout: time.Minute}
	order := Order{Member: 7, Cluster: "1", Peer: "h:1", Initial: map[string]string{"a": "https://h:1"}, Authority: []byte{1}}
	for range 2 { // the answer to the first may have been lost
		if err := store.Commit(t.Context(), c, []string{"https://h:2"}, "a", order); err != nil {
			t.Fatal(err)
		}
	}
	err := store.Commit(t.Context(), Cluster{ID: "2"}, nil, "b", Order{})
	if err == nil || !strings.Contains(err.Error(), "belongs to cluster home (1)") {
		t.Errorf("commit another: got %v", err)
	}
	if got, ok, err := store.Cluster(t.Context()); err != nil || !ok || got != c {
		t.Errorf("got cluster %+v, %v, %v", got, ok, err)
	}
	if got, err := store.Endpoints(t.Context()); err != nil || !slices.Equal(got, []string{"https://h:2"}) {
		t.Errorf("got endpoints %v, %v", got, err)
	}
	if got, err := store.Orders(t.Context()); err != nil || !reflect.DeepEqual(got, map[string]Order{"a": order}) {
		t.Errorf("got orders %+v, %v", got, err)
	}
}

func TestGraphsAreRead(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	if _, revision, err := store.Graph(t.Context(), "a/b"); revision != 0 || err != nil {
		t.Errorf("no graph: got revision %d, %v", revision, err)
	}
	want := map[string]Graph{"a/b": {Name: "x", Bundle: "d", Secrets: []byte("s")}, "c": {Text: "y"}}
	for host, g := range want {
		revision, err := store.PutGraph(t.Context(), host, g)
		if err != nil {
			t.Fatal(err)
		}
		if got, r, err := store.Graph(t.Context(), host); err != nil || r != revision || !reflect.DeepEqual(got, g) {
			t.Errorf("got %+v at %d, %v; want %+v at %d", got, r, err, g, revision)
		}
	}
	if got, err := store.Graphs(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := store.delete(t.Context(), span{key: graphKey("c")}); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Graphs(t.Context()); err != nil || !slices.Equal(slices.Collect(maps.Keys(got)), []string{"a/b"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestFollowEndpoints(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	c := dial(t, admit(t, s, "a", Grants{Resident: true}))
	told := newLatest[[]string]()
	background(t, func(ctx context.Context) error { return c.FollowEndpoints(ctx, told.set) })
	for _, want := range [][]string{{"https://a:1"}, {"https://a:1", "https://b:1"}} {
		if err := store.PutEndpoints(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		told.wait(t, "it is told", func(got []string) bool { return slices.Equal(got, want) })
	}
}

// A client goes where it is told to, and is back when the last endpoint it knew is gone.
func TestSetEndpoints(t *testing.T) {
	s := startServer(t)
	o := admit(t, s, "a", Grants{Keys: []string{"k"}})
	good := o.Endpoints
	o.Endpoints = []string{"unix:///nowhere"}
	c := dial(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 2*retryPause)
	defer cancel()
	if err := c.Put(ctx, "k", new("x")); err == nil {
		t.Error("an endpoint that is not there took a write")
	}
	c.SetEndpoints(good)
	c.SetEndpoints(nil) // says nothing
	if err := c.Put(t.Context(), "k", new("x")); err != nil {
		t.Error(err)
	}
}

func TestFollowOrder(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	store := openStore(t, s)
	l := &link{server: s, down: true}
	o := admit(t, s, "a", Grants{Resident: true})
	o.Dialer = l.dial
	c := dial(t, o)
	told := newLatest[[]*Order]()
	background(t, func(ctx context.Context) error {
		return c.FollowOrder(ctx, func(o *Order) { told.set(append(told.get(), o)) })
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*retryPause)
	defer cancel()
	if _, _, err := c.Get(ctx, "k"); err == nil { // it has had time to ask
		t.Error("there was an answer from nobody")
	}
	if got := told.get(); got != nil {
		t.Fatalf("told %v by nobody", got)
	}
	l.heal()
	last := func(want *Order) func([]*Order) bool {
		return func(got []*Order) bool { return len(got) > 0 && reflect.DeepEqual(got[len(got)-1], want) }
	}
	told.wait(t, "there is none", last(nil))
	put := func(o Order) {
		t.Helper()
		if err := store.PutOrder(t.Context(), "a", o); err != nil {
			t.Fatal(err)
		}
	}
	put(Order{Member: 1})
	told.wait(t, "there is one", last(&Order{Member: 1}))

	// What was the case in an outage, and is not any more, is not told.
	waitLink(t, c, true)
	l.cut()
	waitLink(t, c, false)
	told.set(nil)
	if err := store.DropOrder(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	put(Order{Member: 2})
	l.heal()
	for _, o := range told.wait(t, "there is another", last(&Order{Member: 2})) {
		if o == nil {
			t.Error("told that there is none while there is one")
		}
	}
	if _, err := s.root.Put(t.Context(), orderKey("a"), "{"); err != nil {
		t.Fatal(err)
	}
	put(Order{Member: 3})
	for _, o := range told.wait(t, "there is a third", last(&Order{Member: 3})) {
		if o == nil {
			t.Error("an order that cannot be read was taken for none")
		}
	}
	if err := store.DropOrder(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	told.wait(t, "there is none again", last(nil))
}

// To be refused is not to be told that there is no order.
func TestFollowOrderRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := dial(t, admit(t, s, "a", Grants{}))
	err := c.FollowOrder(t.Context(), func(*Order) { t.Error("told of an order") })
	if !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("got %v", err)
	}
}
