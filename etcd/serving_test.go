package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

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
		askForItself(t, gone)
		if err := gone.Close(); err != nil {
			t.Error(err)
		}
		put(t, rest, "/after")
	}
}

// askForItself has etcd find out that the member is none, as a late call does, which ends the call's
// goroutine while that holds a lock.
func askForItself(t *testing.T, removed *Serving) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		removed.embedded.Server.IsLearner()
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the call waits for itself")
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

// A member that was down for more writes than the others keep is sent the whole, and who watches goes on.
func TestAMemberCatchesUpWithMuch(t *testing.T) {
	t.Parallel()
	members, _ := three(t)
	behind := members[2]
	watcher := raw(t, Options{Endpoints: []string{behind.Endpoint()}, Credentials: operator(t, behind.options.Authority), Log: discard()})
	seen, _ := watched(t, watcher, "/much/", clientv3.WithPrefix())
	admin := adminOf(t, members[:2]...)
	put(t, admin, "/much/first")
	seen.wait(t, "the watch has begun", func(events []*clientv3.Event) bool { return len(events) == 1 })
	if err := behind.Close(); err != nil {
		t.Fatal(err)
	}
	const writes = 2 * logLength
	var writing errgroup.Group
	writing.SetLimit(16)
	for i := range writes {
		writing.Go(func() error {
			_, err := call(t.Context(), func(ctx context.Context) (*clientv3.PutResponse, error) {
				return admin.Put(ctx, fmt.Sprint("/much/", i), "v")
			})
			return err
		})
	}
	if err := writing.Wait(); err != nil {
		t.Fatal(err)
	}
	waitReady(t, startMember(t, behind.options))
	put(t, admin, "/much/last")
	found := make(map[string]bool)
	for _, e := range seen.wait(t, "all that was missed is told", func(events []*clientv3.Event) bool {
		return len(events) > 0 && string(events[len(events)-1].Kv.Key) == "/much/last"
	}) {
		found[string(e.Kv.Key)] = true
	}
	if len(found) != writes+2 {
		t.Errorf("the watch was told of %d writes of %d", len(found), writes+2)
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
