package etcd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A way is a tunnel to whatever store is the one of the moment.
type way struct {
	mu   sync.Mutex
	open func(context.Context) (net.Conn, error)
}

func (w *way) dial(ctx context.Context) (net.Conn, error) {
	w.mu.Lock()
	open := w.open
	w.mu.Unlock()
	return open(ctx)
}

func (w *way) lead(open func(context.Context) (net.Conn, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = open
}

// written are the writes that the store has acknowledged.
type written struct {
	count     *latest[int]
	revisions map[int64]string // values by revision; to be read once the writer has stopped
}

// write writes one value after the other to key until stop is called.
func write(t *testing.T, c *clientv3.Client, key string) (w written, stop func()) {
	t.Helper()
	w = written{newLatest[int](), make(map[int64]string)}
	stop = background(t, func(ctx context.Context) error {
		for i := 0; ctx.Err() == nil; i++ {
			value := strconv.Itoa(i)
			put, err := call(ctx, func(ctx context.Context) (*clientv3.PutResponse, error) { return c.Put(ctx, key, value) })
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				return err
			}
			w.revisions[put.Header.Revision] = value
			w.count.set(i + 1)
		}
		return nil
	})
	return w, stop
}

// watched are the events that a watch was told of.
func watched(t *testing.T, c *clientv3.Client, key string, o ...clientv3.OpOption) (*latest[[]*clientv3.Event], func()) {
	t.Helper()
	seen := newLatest[[]*clientv3.Event]()
	return seen, background(t, func(ctx context.Context) error {
		for resp := range c.Watch(ctx, key, append(o, clientv3.WithRev(1))...) {
			if err := resp.Err(); err != nil && ctx.Err() == nil {
				return err
			}
			seen.set(append(seen.get(), resp.Events...))
		}
		return nil
	})
}

// TestTheStoreIsHandedOver moves a store from a server to a member while hosts write and watch.
func TestTheStoreIsHandedOver(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	way := &way{open: server.Dial}
	through := func(o Options) Options {
		o.Endpoints, o.Dialer = []string{"passthrough:///store"}, way.dial
		return o
	}
	host := dial(t, through(admit(t, server, "a", Grants{Exports: []string{"file"}, Collects: []string{"file"}, Keys: []string{"k"}})))
	if err := host.Export(t.Context(), exports("file", "x")); err != nil {
		t.Fatal(err)
	}
	exported := must(t, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return server.root.Get(ctx, exportKey("file", "a", "x"))
	}).Kvs[0]
	other := raw(t, through(admit(t, server, "b", Grants{Keys: []string{"k"}, Collects: []string{"file"}})))
	seen, stopWatching := watched(t, other, valueKey("k"))
	flicker, _ := watched(t, other, kindPrefix("file"), clientv3.WithPrefix())
	writer, stopWriting := write(t, raw(t, through(admit(t, server, "c", Grants{Keys: []string{"k"}}))), valueKey("k"))
	written := writer.count.wait(t, "it writes", func(n int) bool { return n > 100 })

	path, mark, _ := snapshotOf(t, server)
	if mark.Revision <= int64(written) || mark.Hash == 0 {
		t.Errorf("after %d writes the mark is %+v", written, mark)
	}
	o := newMember(t, "a", server.Authority())
	if err := Restore(t.Context(), path, o); err != nil {
		t.Fatal(err)
	}
	member := startMember(t, o)
	waitReady(t, member)
	if restored, err := member.mark(); err != nil || restored != mark {
		t.Errorf("restored is %+v, the snapshot was of %+v (%v)", restored, mark, err)
	}
	way.lead(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(member.Endpoint(), "unix://"))
	})
	before := writer.count.get()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	writer.count.wait(t, "it goes on writing", func(n int) bool { return n > before+100 })
	stopWriting()

	admin := adminOf(t, member)
	last := must(t, func(ctx context.Context) (*clientv3.GetResponse, error) { return admin.Get(ctx, valueKey("k")) }).Kvs[0]
	seen.wait(t, "all is seen", func(e []*clientv3.Event) bool { return len(e) > 0 && e[len(e)-1].Kv.ModRevision >= last.ModRevision })
	stopWatching()
	checkHistory(t, seen.get(), writer.revisions)

	now := must(t, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return admin.Get(ctx, exportKey("file", "a", "x"))
	}).Kvs
	if len(now) != 1 || now[0].ModRevision != exported.ModRevision || now[0].Lease != exported.Lease {
		t.Errorf("the export was %v, is %v", exported, now)
	}
	if err := host.Close(); err != nil { // which ends the lease in the new store
		t.Error(err)
	}
	events := flicker.wait(t, "the export is gone", func(e []*clientv3.Event) bool { return len(e) > 0 && e[len(e)-1].Type == mvccpb.DELETE })
	if len(events) != 2 {
		t.Errorf("of one export %d events were seen", len(events))
	}
}

// checkHistory checks that every event came once and in order, and that each acknowledged write is
// among them.
func checkHistory(t *testing.T, seen []*clientv3.Event, acknowledged map[int64]string) {
	t.Helper()
	byRevision, last, version := make(map[int64]string), int64(0), int64(0)
	for _, e := range seen {
		if e.Kv.ModRevision <= last || e.Kv.Version != version+1 {
			t.Errorf("version %d of revision %d was seen after version %d of %d", e.Kv.Version, e.Kv.ModRevision, version, last)
		}
		last, version = e.Kv.ModRevision, e.Kv.Version
		byRevision[last] = string(e.Kv.Value)
	}
	for revision, value := range acknowledged {
		if byRevision[revision] != value {
			t.Errorf("revision %d: %s was acknowledged, %q seen", revision, value, byRevision[revision])
		}
	}
}

// While the store is fenced nobody gets anything from it, and afterwards all goes on.
func TestAFenceIsLifted(t *testing.T) {
	s := startServer(t)
	host := dial(t, admit(t, s, "a", Grants{Exports: []string{"file"}, Keys: []string{"k"}}))
	if err := host.Export(t.Context(), exports("file", "x")); err != nil {
		t.Fatal(err)
	}
	lease := host.session.lease
	c := raw(t, admit(t, s, "b", Grants{Keys: []string{"k"}}))
	seen, _ := watched(t, c, valueKey("k"))
	writer, stopWriting := write(t, c, valueKey("k"))
	writer.count.wait(t, "it writes", func(n int) bool { return n > 10 })
	lift, err := s.Fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.mark()
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range clientAnswers(t, s) {
		if !passes(err) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if after, err := s.mark(); err != nil || after != before {
		t.Errorf("it is at %+v, was at %+v (%v)", after, before, err)
	}
	// What happens to the store without a client, as when a lease ends, is not seen either.
	told := len(seen.get())
	inside := s.embedded.Server.AuthStore().WithRoot(t.Context())
	if _, err := s.embedded.Server.Put(inside, &etcdserverpb.PutRequest{Key: []byte(valueKey("k"))}); err != nil {
		t.Fatal(err)
	}
	if n := len(seen.get()); n != told {
		t.Errorf("%d events were seen through the fence", n-told)
	}
	if _, err := s.Fence(t.Context()); err == nil {
		t.Error("it was fenced twice")
	}
	lift()
	lift()
	n := writer.count.get()
	writer.count.wait(t, "it writes again", func(m int) bool { return m > n+10 })
	stopWriting()
	last := must(t, func(ctx context.Context) (*clientv3.GetResponse, error) { return c.Get(ctx, valueKey("k")) }).Kvs[0]
	seen.wait(t, "all is seen", func(e []*clientv3.Event) bool { return len(e) > 0 && e[len(e)-1].Kv.ModRevision >= last.ModRevision })
	checkHistory(t, seen.get(), writer.revisions)
	if err := host.Export(t.Context(), exports("file", "x", "y")); err != nil || host.session.lease != lease {
		t.Errorf("a host exports more: lease %x, was %x (%v)", host.session.lease, lease, err)
	}
}

// clientAnswers returns what each sort of call gets.
func clientAnswers(t *testing.T, s *Server) map[string]error {
	t.Helper()
	c := raw(t, adminOptions(s))
	ctx, cancel := context.WithTimeout(t.Context(), retryPause)
	defer cancel()
	answers := make(map[string]error)
	_, answers["put"] = c.Put(ctx, "/x", "")
	_, answers["get"] = c.Get(ctx, "/x")
	_, answers["grant"] = c.Grant(ctx, 60)
	_, answers["add a user"] = c.UserAdd(ctx, "x", "y")
	for created := range c.Watch(ctx, "/x", clientv3.WithCreatedNotify()) {
		answers["watch"] = created.Err()
	}
	if answers["watch"] == nil { // it was not created, or has been closed without a word
		answers["watch"] = context.Cause(ctx)
	}
	_, answers["snapshot"] = readSnapshot(ctx, c)
	return answers
}

func readSnapshot(ctx context.Context, c *clientv3.Client) (int, error) {
	r, err := c.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return r.Read(make([]byte, 1))
}

// A fence that cannot be put up, for a call does not end, is down again.
func TestAFenceGivesUp(t *testing.T) {
	s := startServer(t)
	leave, ok := s.gate.enter()
	if !ok {
		t.Fatal("the gate is shut")
	}
	defer leave()
	ctx, cancel := context.WithTimeoutCause(t.Context(), retryPause, errors.New("enough"))
	defer cancel()
	if _, err := s.Fence(ctx); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("got error %v", err)
	}
	put(t, s.root, "/k")
}

// A snapshot is told to be of one state, or not taken.
func TestASnapshotOfAChangingStoreFails(t *testing.T) {
	s := startServer(t)
	w := writerFunc(func(p []byte) (int, error) {
		_, err := s.root.Put(t.Context(), "/k", fmt.Sprint(len(p)))
		return len(p), err
	})
	if _, err := s.Snapshot(t.Context(), w); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("got error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Snapshot(ctx, os.Stderr); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
