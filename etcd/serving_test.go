package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
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
	answer, err := call(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
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
	must(t, func(ctx context.Context) (*clientv3.MemberPromoteResponse, error) {
		for {
			promoted, err := admin.MemberPromote(ctx, added.Member.ID)
			if !errors.Is(err, rpctypes.ErrMemberLearnerNotReady) {
				return promoted, err
			}
			select {
			case <-ctx.Done():
				return nil, err
			case <-time.After(retryPause):
			}
		}
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

func TestAStoreGrows(t *testing.T) {
	t.Parallel()
	members, admin := three(t)
	list := must(t, func(ctx context.Context) (*clientv3.MemberListResponse, error) { return admin.MemberList(ctx) })
	found := make(map[uint64]string)
	for _, m := range list.Members {
		_, clientURL, err := URLs(strings.TrimPrefix(m.PeerURLs[0], "https://"))
		if err != nil || len(m.ClientURLs) != 1 || m.ClientURLs[0] != clientURL || m.IsLearner {
			t.Errorf("the members have one that is %v", m)
		}
		found[m.ID] = memberHost(m.Name)
	}
	for _, m := range members {
		if found[m.ID()] != m.options.Name {
			t.Errorf("%s is known as %q", m.options.Name, found[m.ID()])
		}
		own := adminOf(t, m)
		put(t, own, "/of/"+m.options.Name)
		if !has(t, own, "/k") {
			t.Errorf("%s does not have what the store held before it grew", m.options.Name)
		}
	}
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

// A member that is removed while clients use it ends, and the process does not.
func TestAMemberIsRemoved(t *testing.T) {
	t.Parallel()
	members, admin := three(t)
	leader := must(t, func(ctx context.Context) (*clientv3.StatusResponse, error) {
		return admin.Status(ctx, members[0].Endpoint())
	}).Leader
	first := slices.IndexFunc(members, func(s *Serving) bool { return s.ID() == leader })
	members[0], members[first] = members[first], members[0]
	for i, gone := range members[:2] { // the leader and another
		rest := adminOf(t, members[i+1:]...)
		use(t, gone)
		remove(t, rest, gone.ID())
		waitRemoved(t, gone)
		if err := gone.Close(); err != nil {
			t.Error(err)
		}
		put(t, rest, "/after")
	}
}

func TestAMemberIsRemovedWhileItIsDown(t *testing.T) {
	t.Parallel()
	members, _ := three(t)
	gone := members[2]
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	if gone.Err() != nil {
		t.Errorf("an orderly end is told as %v", gone.Err())
	}
	remove(t, adminOf(t, members[0]), gone.ID())
	again := startMember(t, gone.options)
	waitRemoved(t, again)
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// A member that finds no majority does not get ready, and ends all the same.
func TestAMemberAloneEnds(t *testing.T) {
	t.Parallel()
	a := startServer(t)
	first := found(t, a, newMember(t, "a", a.Authority()))
	second := join(t, adminOf(t, first), newMember(t, "b", a.Authority()))
	for _, m := range []*Serving{second, first} { // before the second is ready, as a rule
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	alone := startMember(t, first.options)
	if err := alone.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-alone.Ready():
		t.Error("it was ready")
	default:
	}
}

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

// A member's etcd that meets a fatal error ends, and the process does not.
func TestFatalErrorEndsTheMemberAlone(t *testing.T) {
	t.Parallel()
	a := startServer(t)
	m := found(t, a, newMember(t, "a", a.Authority()))
	go m.embedded.GetLogger().Fatal("failed to save", zap.Error(errors.New("no space left on device")))
	select {
	case <-m.Done():
	case <-time.After(patience):
		t.Fatal("the member goes on")
	}
	if err := m.Err(); err == nil || !strings.Contains(err.Error(), "failed to save: no space left on device") {
		t.Errorf("got error %v", err)
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

func TestJoiningNobodyFails(t *testing.T) {
	t.Parallel()
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	o, other := newMember(t, "a", a), newMember(t, "b", a)
	peerURL, _, err := URLs(other.Peer)
	if err != nil {
		t.Fatal(err)
	}
	o.Existing, o.Initial = true, map[string]string{"b": peerURL}
	if _, err := StartMember(t.Context(), o); err == nil {
		t.Fatal("it joined a store that is not there")
	}
	if unlock, err := lockStore(o.Dir); err != nil {
		t.Errorf("after a failed start: %v", err)
	} else {
		unlock()
	}
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

// certificate returns the number of the certificate that the listener at address shows.
func certificate(t *testing.T, address string, config *tls.Config) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := tls.Client(conn, config)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestCertificatesAreRenewed(t *testing.T) {
	t.Parallel()
	a := startServer(t)
	o := newMember(t, "a", a.Authority())
	m := found(t, a, o)
	peer := peerTLS(t, o.Authority)
	admin, err := operator(t, o.Authority).TLS()
	if err != nil {
		t.Fatal(err)
	}
	_, clientURL, err := URLs(o.Peer)
	if err != nil {
		t.Fatal(err)
	}
	shown := func() [2]string {
		return [2]string{certificate(t, o.Peer, peer), certificate(t, strings.TrimPrefix(clientURL, "https://"), admin)}
	}
	before := shown()
	if again := shown(); again != before {
		t.Errorf("certificates change by themselves: %v, %v", before, again)
	}
	if err := m.Renew(); err != nil {
		t.Fatal(err)
	}
	after := shown()
	if after[0] == before[0] || after[1] == before[1] {
		t.Errorf("got certificates %v after %v", after, before)
	}
	put(t, adminOf(t, m), "/k")
	files, err := filepath.Glob(filepath.Join(o.Dir, "*.*"))
	if err != nil || len(files) != 5 {
		t.Errorf("there are %v, %v", files, err)
	}
	for _, path := range files {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is open to others: %v, %v", path, info.Mode(), err)
		}
	}
}
