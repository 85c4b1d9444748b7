package steward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spore/etcd"
	"spore/internal/secret"
)

// waitFor is how long a test waits for what has to come.
const waitFor = 10 * time.Minute

// TestCluster has stewards look after a store of real members, each at an address of its own.
func TestCluster(t *testing.T) {
	t.Parallel()
	f := found(t, "a")
	f.wait("a serves", "a")
	for _, name := range []string{"b", "c", "d", "e"} {
		f.join(name)
	}
	f.wait("it grows to five", "a", "b", "c", "d", "e")
	f.join("f")
	f.hosts["b"].stop()
	f.wait("f replaces b", "a", "c", "d", "e", "f")
	f.start("b")
	if err := f.admin.MarkLeaving(t.Context(), "a"); err != nil { // which leads, and whose steward acts
		t.Fatal(err)
	}
	f.wait("a leaves and b comes back in its place", "b", "c", "d", "e", "f")
	f.request("b")
}

// A cluster is a store whose members are hosts of a test.
type cluster struct {
	t     *testing.T
	id    string
	ca    *etcd.Authority
	net   string
	hosts map[string]*resident
	admin *etcd.Store
	urls  []string // for clients, of all hosts that ever may be members
}

// A resident is a host that does what its orders say, and what tells it to.
type resident struct {
	*cluster
	name, dir, peer     string
	identity, recipient string
	credentials         etcd.Credentials
	client              *etcd.Client
	stop                func()

	member  *etcd.Serving // nil if it serves nobody
	id      uint64
	steward func() // ends it
}

// found makes a cluster the way that a run does: from a snapshot of its store.
func found(t *testing.T, first string) *cluster {
	server, err := etcd.Start(t.Context(), etcd.ServerOptions{Dir: shortDir(t), Log: discard, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	f := &cluster{
		t: t, id: "id", ca: server.Authority(), hosts: make(map[string]*resident),
		net: fmt.Sprintf("127.%d.%d", 1+rand.N(254), rand.N(256)),
	}
	for _, name := range strings.Split("abcdef", "") {
		_, url, err := etcd.URLs(f.peer(name))
		if err != nil {
			t.Fatal(err)
		}
		f.urls = append(f.urls, url)
	}
	file := filepath.Join(shortDir(t), "snapshot")
	snapshot(t, server, file)
	h := f.newHost(first)
	h.serve(etcd.Order{Peer: h.peer}, file)
	f.admin = f.open(f.urls...)
	c := etcd.Cluster{ID: f.id, Name: "test", Founded: time.Now(), Ideal: 5, MemberTimeout: 10 * time.Second}
	key, err := seal(f.ca, h.recipient)
	if err != nil {
		t.Fatal(err)
	}
	o := etcd.Order{Member: h.id, Cluster: f.id, Peer: h.peer, Authority: key}
	if err := f.admin.Commit(t.Context(), c, f.urls[:1], first, o); err != nil {
		t.Fatal(err)
	}
	f.start(first)
	t.Cleanup(f.end)
	return f
}

// snapshot writes a snapshot of server to a file, and closes it.
func snapshot(t *testing.T, server *etcd.Server, file string) {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Snapshot(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
}

func (f *cluster) peer(name string) string { return fmt.Sprintf("%s.%d:7480", f.net, name[0]-'a'+1) }

func (f *cluster) newHost(name string) *resident {
	h := &resident{cluster: f, name: name, dir: shortDir(f.t), peer: f.peer(name)}
	h.identity, h.recipient = newRecipient(f.t)
	f.hosts[name] = h
	return h
}

// open returns the store as the administrator.
func (f *cluster) open(endpoints ...string) *etcd.Store {
	admin, err := f.ca.Admin()
	if err != nil {
		f.t.Fatal(err)
	}
	s, err := etcd.Open(f.t.Context(), etcd.Options{Endpoints: endpoints, Credentials: admin, Log: discard})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (f *cluster) join(name string) {
	f.newHost(name)
	f.start(name)
}

// start starts what runs on a host: a client that reports, and follows its orders.
func (f *cluster) start(name string) {
	h := f.hosts[name]
	var err error
	if h.credentials.Cert == nil {
		h.credentials, err = f.admin.Admit(f.t.Context(), f.ca, name, etcd.Grants{Resident: true})
	}
	if err == nil {
		h.client, err = etcd.Dial(f.t.Context(), etcd.Options{
			Endpoints: f.urls, Credentials: h.credentials, Log: discard, TTL: 5 * time.Second,
		})
	}
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { h.follow(ctx) })
	h.stop = sync.OnceFunc(func() {
		cancel()
		_ = h.client.Close()
		running.Wait()
		h.retire()
	})
}

// end stops every host at once: alone, the last would wait for the others in vain.
func (f *cluster) end() {
	var ending sync.WaitGroup
	for _, h := range f.hosts {
		ending.Go(h.stop)
	}
	ending.Wait()
}

func (h *resident) follow(ctx context.Context) {
	facts := etcd.Facts{OS: "linux", Resident: true, Peer: h.peer, Recipient: h.recipient}
	for _, err := range []error{h.client.PutFacts(ctx, facts), h.client.Report(ctx, etcd.Report{Settled: true})} {
		if err != nil && ctx.Err() == nil {
			h.t.Errorf("%s: %v", h.name, err)
		}
	}
	orders := make(chan *etcd.Order)
	var following sync.WaitGroup
	following.Go(func() {
		err := h.client.FollowOrder(ctx, func(o *etcd.Order) {
			select {
			case orders <- o:
			case <-ctx.Done():
			}
		})
		if err != nil && ctx.Err() == nil {
			h.t.Errorf("%s: %v", h.name, err)
		}
	})
	defer following.Wait()
	h.obey(ctx, orders)
}

// obey does what the last order says, and starts a member again that does not run.
func (h *resident) obey(ctx context.Context, orders <-chan *etcd.Order) {
	var order *etcd.Order
	for {
		var ended <-chan struct{}
		var again <-chan time.Time
		if h.member != nil {
			ended = h.member.Done()
		} else if order != nil {
			again = time.After(time.Second)
		}
		select {
		case <-ctx.Done():
			return
		case order = <-orders:
		case <-ended:
			if err := h.member.Err(); errors.Is(err, etcd.ErrRemoved) {
				order = nil // it is about to be dropped
			} else {
				h.t.Logf("the member of %s ended: %v", h.name, err)
			}
			h.retire()
		case <-again:
		}
		if h.member != nil && (order == nil || order.Member != h.id) {
			h.retire()
		}
		switch {
		case order == nil:
			_ = os.RemoveAll(filepath.Join(h.dir, "data"))
		case h.member == nil:
			h.serve(*order, "")
		}
	}
}

// serve has the host be a member: the first one of what is in a snapshot, or one that joins.
func (h *resident) serve(o etcd.Order, snapshot string) {
	options := etcd.MemberOptions{
		Dir: h.dir, Name: h.name, Peer: o.Peer, Initial: o.Initial, Existing: snapshot == "", Cluster: h.cluster.id,
		Authority: h.ca, Log: discard,
	}
	if snapshot != "" {
		if err := etcd.Restore(h.t.Context(), snapshot, options); err != nil {
			h.t.Fatal(err)
		}
	} else if options.Authority = h.unseal(o); options.Authority == nil {
		return
	}
	member, err := etcd.StartMember(h.t.Context(), options)
	if err != nil {
		h.t.Logf("%s does not start: %v", h.name, err) // it may have been removed already
		return
	}
	h.member, h.id = member, member.ID()
	if o.Member != 0 && h.id != o.Member {
		h.t.Errorf("%s is member %x, its order says %x", h.name, h.id, o.Member)
	}
	h.look()
}

// unseal returns the authority that an order brought.
func (h *resident) unseal(o etcd.Order) *etcd.Authority {
	key, err := secret.Decrypt(h.identity, o.Authority)
	if err == nil {
		var ca *etcd.Authority
		if ca, err = etcd.LoadAuthority(h.ca.Certificate(), key); err == nil {
			return ca
		}
	}
	h.t.Errorf("%s: %v", h.name, err)
	return nil
}

// look has a steward run beside the member.
func (h *resident) look() {
	ctx, cancel := context.WithCancel(context.Background())
	store := h.open(h.member.Endpoint())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := Run(ctx, Options{
			Store: store, Authority: h.ca, Host: h.name, Tick: 200 * time.Millisecond,
			Log: slog.New(slog.NewTextHandler(h.t.Output(), nil)).With("steward", h.name),
		})
		if err != nil && ctx.Err() == nil {
			h.t.Errorf("the steward of %s: %v", h.name, err)
		}
	}()
	h.steward = func() { cancel(); <-done }
}

// retire ends the member.
func (h *resident) retire() {
	if h.member == nil {
		return
	}
	closed := make(chan error, 1) // a store that is gone answers nobody, its own steward included
	go func(m *etcd.Serving) { closed <- m.Close() }(h.member)
	h.steward()
	if err := <-closed; err != nil && h.member.Err() == nil { // else it may never close
		h.t.Errorf("%s: %v", h.name, err)
	}
	h.member = nil
}

// wait waits until the voters are these, all of them answer, and the endpoints are theirs.
func (f *cluster) wait(what string, hosts ...string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), waitFor)
	defer cancel()
	var want []string
	for _, name := range hosts {
		want = append(want, f.urls[name[0]-'a'])
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		last := f.stand(ctx)
		if slices.Equal(last, want) {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			members, err := f.admin.Members(f.t.Context())
			f.t.Fatalf("waited in vain until %s; members: %+v (%v)", what, members, err)
		}
	}
}

// stand returns the endpoints, if they are those of the members and all of these answer.
func (f *cluster) stand(ctx context.Context) []string {
	members, err := f.admin.Members(ctx)
	if err != nil {
		return nil
	}
	voters := 0
	for _, m := range members {
		if _, err := f.admin.Status(ctx, m.Client); err != nil || m.Learner {
			return nil
		}
		voters++
	}
	if voters > 5 {
		f.t.Errorf("there are %d voters: %+v", voters, members)
	}
	endpoints, err := f.admin.Endpoints(ctx)
	slices.Sort(endpoints)
	if err != nil || len(endpoints) != voters {
		return nil
	}
	return endpoints
}

var discard = slog.New(slog.DiscardHandler)

// shortDir returns a new directory whose path is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "steward")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
