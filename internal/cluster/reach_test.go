package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"spore/etcd"
	"spore/remote"
	"spore/remote/dial"
)

// patience is how long tests wait for anything: it bounds what hangs and measures nothing.
const patience = time.Minute

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// startStore starts the store of the sample cluster.
func startStore(t *testing.T, record Record) *etcd.Server {
	t.Helper()
	authority, err := record.Authority()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "spore") // short: there will be sockets in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := etcd.Start(t.Context(), etcd.ServerOptions{
		Dir: dir, Authority: authority, NoSync: true, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A network is the hosts of a test, by name.
type network map[string]*fakeHost

// A fakeHost is a host of which a test says what it does.
type fakeHost struct {
	login error                                       // why it lets nobody in
	store func(ctx context.Context) (net.Conn, error) // what its pipe leads to

	mu      sync.Mutex
	logins  int
	conns   []*fakeConn
	streams []*stream
}

func (n network) connect(_ context.Context, h HostRecord) (Conn, error) {
	f := n[h.Name]
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logins++
	if f.login != nil {
		return nil, f.login
	}
	c := &fakeConn{host: f, lost: make(chan struct{})}
	f.conns = append(f.conns, c)
	return c, nil
}

func (n network) reacher(record Record) *Reacher {
	return &Reacher{
		Record: record, Connect: n.connect, Timeout: time.Nanosecond, Log: slog.New(slog.DiscardHandler),
		checks: &pace{20 * time.Millisecond, 2 * time.Second},
	}
}

// crash has the host lose all connections and let nobody in.
func (f *fakeHost) crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.login = errNotThere
	for _, s := range f.streams {
		_ = s.Conn.Close()
	}
	for _, c := range f.conns {
		c.lose()
	}
}

// freeze has what comes from the store stay away, while connections stay.
func (f *fakeHost) freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store = mute
	for _, s := range f.streams {
		s.freeze()
	}
}

func (f *fakeHost) counts() (logins, open int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		if !c.gone() {
			open++
		}
	}
	return f.logins, open
}

var errNotThere = &dial.UnreachableError{Err: errors.New("nobody is there"), Transient: true}

type fakeConn struct {
	host *fakeHost
	once sync.Once
	lost chan struct{}
}

func (c *fakeConn) Run(context.Context, io.Reader, ...string) ([]byte, error) {
	return nil, errors.ErrUnsupported
}
func (c *fakeConn) Install(context.Context) (string, string, error) {
	return "", "", errors.ErrUnsupported
}
func (c *fakeConn) Lost() <-chan struct{} { return c.lost }
func (c *fakeConn) lose()                 { c.once.Do(func() { close(c.lost) }) }

func (c *fakeConn) Close() error {
	c.lose()
	return nil
}

func (c *fakeConn) gone() bool {
	select {
	case <-c.lost:
		return true
	default:
		return false
	}
}

func (c *fakeConn) Stream(ctx context.Context, argv ...string) (net.Conn, error) {
	if strings.Join(argv, " ") != "/var/lib/spore/bin/spore resident pipe" {
		return nil, &remote.ProgramError{Program: argv[0], Code: 127}
	}
	c.host.mu.Lock()
	store := c.host.store
	c.host.mu.Unlock()
	conn, err := store(ctx)
	if err != nil {
		return nil, err
	}
	s := &stream{Conn: conn, frozen: make(chan struct{})}
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.host.streams = append(c.host.streams, s)
	return s, nil
}

// A stream is a connection that can be made to hear nothing more.
type stream struct {
	net.Conn
	once   sync.Once
	frozen chan struct{}
}

func (s *stream) freeze() { s.once.Do(func() { close(s.frozen) }) }

func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	select {
	case <-s.frozen:
		if err == nil {
			return s.Read(b) // what came is lost
		}
	default:
	}
	return n, err
}

// mute is a store that takes everything and says nothing.
func mute(context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	return ours, nil
}

// broken is a pipe of a host that says why there is none.
func broken(code int, why string) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		return nil, &remote.ProgramError{Program: "spore resident pipe", Code: code, Stderr: []string{why}}
	}
}

func open(t *testing.T, r *Reacher) *Link {
	t.Helper()
	l, err := r.Open(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func threeHosts(t *testing.T) Record {
	record := sample(t, "home")
	record.Hosts = []HostRecord{{"a", "a"}, {"b", "b"}, {"c", "c"}}
	return record
}

func TestTheFirstHostThatLeadsToTheStoreWins(t *testing.T) {
	record := threeHosts(t)
	store := startStore(t, record)
	n := network{"a": {login: errNotThere}, "b": {store: mute}, "c": {store: store.Dial}}
	l := open(t, n.reacher(record))
	if l.Host() != "c" {
		t.Errorf("it leads through %s", l.Host())
	}
	if _, err := l.Store.PutGraph(bounded(t), "a", etcd.Graph{Name: "g"}); err != nil {
		t.Error(err)
	}
}

func TestWhyNoHostLeadsToTheStore(t *testing.T) {
	record := threeHosts(t)
	n := network{"a": {login: errNotThere}, "b": {store: broken(1, "no member\x1b[2J answers")}, "c": {store: broken(127, "not found")}}
	_, err := n.reacher(record).Open(bounded(t))
	if err == nil {
		t.Fatal("it was opened")
	}
	want := "reach cluster home: no host leads to its store\n" +
		"  a: " + remote.Clean(errNotThere.Error()) + "\n" +
		"  b: spore resident pipe: no member answers\n" +
		"  c: nothing of the cluster resides there: the host has left it, or the cluster is no more"
	if err.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !errors.Is(err, errNotThere) {
		t.Errorf("it is a %T", err)
	}
	for name, h := range n {
		if _, left := h.counts(); left != 0 {
			t.Errorf("%d connections to %s are left", left, name)
		}
	}
}

// Hosts that can be reached and wait for the store in vain are a matter of its majority.
func TestAStoreWithoutAMajorityIsTold(t *testing.T) {
	timeout := fmt.Errorf("the store does not answer: %w", context.DeadlineExceeded)
	for want, err := range map[bool]error{true: timeout, false: &loginError{timeout}} {
		e := &UnreachableError{[]HostError{{"a", errNotThere}, {"b", err}}}
		if got := strings.Contains(e.Error(), "spore revive"); got != want {
			t.Errorf("%T: %v", err, e)
		}
	}
}

// A pipe that opens and then fails tells why, at once.
func TestWhyAPipeBreaks(t *testing.T) {
	record := threeHosts(t)
	other, err := etcd.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	key, err := other.Key()
	if err != nil {
		t.Fatal(err)
	}
	foreign := record
	foreign.CA, foreign.CAKey = other.Certificate(), key
	stranger := startStore(t, foreign)
	late := &remote.ProgramError{Program: "spore resident pipe", Code: -1, Stderr: []string{"no member answers"}}
	ends := func(err error) func(context.Context) (net.Conn, error) {
		return func(context.Context) (net.Conn, error) { return &brokenConn{err: err}, nil }
	}
	n := network{"a": {store: ends(late)}, "b": {store: ends(io.EOF)}, "c": {store: stranger.Dial}}
	r := n.reacher(record)
	r.checks = &pace{patience, patience} // which is not waited for
	_, err = r.Open(bounded(t))
	want := "reach cluster home: no host leads to its store\n" +
		"  a: spore resident pipe: no member answers\n" +
		"  b: the connection broke: EOF\n" +
		"  c: what answers there is no store of this cluster"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// A brokenConn is that of a program that has ended.
type brokenConn struct {
	net.Conn
	err error
}

func (c *brokenConn) Read([]byte) (int, error)    { return 0, c.err }
func (c *brokenConn) Write([]byte) (int, error)   { return 0, io.ErrClosedPipe }
func (c *brokenConn) Close() error                { return nil }
func (c *brokenConn) SetDeadline(time.Time) error { return nil }

// What may pass by itself is tried again, and what will not is not.
func TestHostsAreTriedAgain(t *testing.T) {
	record := threeHosts(t)
	store := startStore(t, record)
	up := make(chan struct{})
	booting := func(ctx context.Context) (net.Conn, error) {
		select {
		case <-up:
			return store.Dial(ctx)
		default:
			close(up)
			return broken(1, "not yet")(ctx)
		}
	}
	n := network{"a": {store: broken(127, "")}, "b": {store: booting}, "c": {login: errors.New("permission denied")}}
	r := n.reacher(record)
	r.Timeout = patience
	if l := open(t, r); l.Host() != "b" {
		t.Errorf("it leads through %s", l.Host())
	}
	for name, want := range map[string]int{"a": 1, "c": 1} {
		if logins, _ := n[name].counts(); logins != want {
			t.Errorf("%s was tried %d times, want %d", name, logins, want)
		}
	}
}

func TestALinkOutlivesItsHost(t *testing.T) {
	for name, fail := range map[string]func(*fakeHost){"crash": (*fakeHost).crash, "freeze": (*fakeHost).freeze} {
		t.Run(name, func(t *testing.T) {
			record := threeHosts(t)
			store := startStore(t, record)
			n := network{"a": {store: store.Dial}, "b": {store: store.Dial}, "c": {login: errNotThere}}
			l := open(t, n.reacher(record))
			revision, err := l.Store.PutGraph(bounded(t), "a", etcd.Graph{Name: "g"})
			if err != nil {
				t.Fatal(err)
			}
			first := l.Host()
			fail(n[first])
			eventually(t, "the store answers through another host", func() bool {
				_, got, err := l.Store.Graph(bounded(t), "a")
				return err == nil && got == revision && l.Host() != first && l.Host() != "c"
			})
		})
	}
}

func TestTheStoreOfAnotherClusterIsRefused(t *testing.T) {
	record := threeHosts(t)
	record.Hosts = record.Hosts[:1]
	store := startStore(t, record)
	admin, err := etcd.Open(t.Context(), etcd.Options{
		Endpoints: []string{store.Endpoint()}, Credentials: store.Admin(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.Commit(bounded(t), etcd.Cluster{ID: "other", Name: "home"}, nil, "a", etcd.Order{}); err != nil {
		t.Fatal(err)
	}
	n := network{"a": {store: store.Dial}}
	r := n.reacher(record)
	r.Timeout = patience // which is not waited for
	if _, err = r.Open(bounded(t)); !errors.Is(err, errStranger) {
		t.Errorf("got %v", err)
	}
}

func TestConnectionsAreShared(t *testing.T) {
	record := threeHosts(t)
	store := startStore(t, record)
	n := network{"a": {store: store.Dial}, "b": {store: broken(127, "")}, "c": {store: broken(127, "")}}
	l := open(t, n.reacher(record))
	ctx := bounded(t)
	var all sync.WaitGroup
	got := make([]Conn, 8)
	for i := range got {
		all.Go(func() {
			var err error
			if got[i], err = l.Conn(ctx, "c"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, c := range got {
		if c != got[0] {
			t.Error("there are two connections to one host")
		}
	}
	got[0].(*fakeConn).lose()
	if again, err := l.Conn(ctx, "c"); err != nil || again == got[0] {
		t.Errorf("after it was lost: %v (%v)", again, err)
	}
	_, err := l.Conn(ctx, "x")
	if want := `cluster home has no host "x": it has a, b, c`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestALinkLeavesNothing(t *testing.T) {
	record := threeHosts(t)
	store := startStore(t, record)
	n := network{"a": {store: store.Dial}, "b": {store: store.Dial}, "c": {store: mute}}
	l, err := n.reacher(record).Open(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for name, h := range n {
		if _, left := h.counts(); left != 0 {
			t.Errorf("%d connections to %s are left", left, name)
		}
	}
	if _, err := l.Conn(bounded(t), "a"); err == nil {
		t.Error("a link that is closed connects")
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	record := threeHosts(t)
	asked := make(chan struct{})
	r := &Reacher{Record: record, Timeout: patience, Log: slog.New(slog.DiscardHandler),
		Connect: func(ctx context.Context, h HostRecord) (Conn, error) {
			if h.Name == "a" {
				close(asked)
			}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}}
	ctx, cancel := context.WithCancelCause(bounded(t))
	enough := errors.New("enough")
	go func() {
		<-asked
		cancel(enough)
	}()
	if _, err := r.Open(ctx); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}
