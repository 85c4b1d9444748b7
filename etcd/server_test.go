package etcd

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// A run as it should be, from start to close, says nothing that a person would have to read.
func TestNormalRunIsSilent(t *testing.T) {
	logs := new(logbook)
	s := startServerWith(t, ServerOptions{Dir: shortDir(t), Log: slog.New(logs), NoSync: true})
	store, err := Open(t.Context(), Options{Endpoints: []string{s.Endpoint()}, Credentials: s.Admin(), Log: slog.New(logs)})
	if err != nil {
		t.Fatal(err)
	}
	fleet := follow(t, store)
	var clients []*Client
	for _, host := range []string{"a", "b"} {
		o := admit(t, s, host, Grants{Exports: []string{"file"}, Collects: []string{"file"}})
		o.Log = slog.New(logs)
		clients = append(clients, startAgent(t, o, "file").Client)
		if err := clients[0].Export(t.Context(), exports("file", host)); err != nil {
			t.Fatal(err)
		}
		if _, err := store.PutGraph(t.Context(), host, Graph{}); err != nil {
			t.Fatal(err)
		}
	}
	fleet.wait(t, "the fleet converges", func(f Fleet) bool { return f.Converged([]string{"a", "b"}) })
	if err := clients[0].Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil { // while b and the operator are there still
		t.Error(err)
	}
	if lines := logs.since(slog.LevelInfo); len(lines) > 0 {
		t.Errorf("it logged:\n%s", strings.Join(lines, "\n"))
	}
	if len(logs.since(slog.LevelDebug)) == 0 {
		t.Error("it logged nothing at debug either, so this test shows nothing")
	}
	for _, line := range logs.since(slog.LevelDebug) {
		if strings.Contains(line, "PRIVATE KEY") {
			t.Errorf("it logged a key: %s", line)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	dir, elsewhere := shortDir(t), t.TempDir()
	t.Setenv("TMPDIR", elsewhere)
	t.Setenv("HOME", elsewhere)
	t.Chdir(elsewhere)
	before := goroutines()
	s := startServerWith(t, ServerOptions{Dir: dir, Log: discard(), NoSync: true})
	peer := s.embedded.Peers[0].Addr().String()
	a := dial(t, admit(t, s, "a", Grants{Exports: []string{"file"}}))
	store := openStore(t, s)
	if err := a.Export(t.Context(), exports("file", "x")); err != nil {
		t.Fatal(err)
	}
	private, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range private {
		if info, err := os.Lstat(path); err != nil || (!info.IsDir() && info.Mode().Perm() != 0o600) {
			t.Errorf("%s is open to others: %v, %v", path, info.Mode(), err)
		}
	}
	for _, closes := range []func() error{a.Close, store.Close, s.Close} {
		if err := closes(); err != nil {
			t.Error(err)
		}
	}
	select {
	case <-s.Done():
	default:
		t.Error("not done")
	}
	if s.Err() != nil {
		t.Errorf("an orderly end is told as %v", s.Err())
	}
	if _, err := s.Dial(t.Context()); err == nil {
		t.Error("the socket still answers")
	}
	if conn, err := net.Dial("tcp", peer); err == nil {
		conn.Close()
		t.Error("the peer port still answers")
	}
	if left, _ := os.ReadDir(elsewhere); len(left) > 0 {
		t.Errorf("left outside its directory: %v", left)
	}
	deadline := time.After(patience)
	for {
		left := goroutines()
		left = slices.DeleteFunc(left, func(g string) bool { return slices.Contains(before, g) })
		if len(left) == 0 {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("goroutines left:\n%s", strings.Join(left, "\n\n"))
		case <-time.After(retryPause):
		}
	}
}

// A start that is given up has let go of the directory when it returns: it would make anew what is
// taken away then.
func TestStartGivenUpLeavesNothing(t *testing.T) {
	dir := shortDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := Start(ctx, ServerOptions{Dir: dir, Log: discard(), NoSync: true}); !errors.Is(err, context.Canceled) {
		t.Fatalf("started %v, %v", s, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	startServer(t) // as long as the other would take
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its directory is there again: %v", err)
	}
}

// goroutines returns the stacks of all goroutines, without numbers.
func goroutines() []string {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		panic(err)
	}
	var all []string
	for _, g := range strings.Split(b.String(), "\n\n") {
		if _, stack, ok := strings.Cut(g, "\n"); ok && strings.Contains(stack, "etcd") && !strings.Contains(stack, "goroutines") {
			all = append(all, stack)
		}
	}
	return all
}

// Where etcd would end the process, on a full disk for one, the server ends and tells.
func TestFatalErrorEndsTheServerAlone(t *testing.T) {
	s := startServer(t)
	go s.embedded.GetLogger().Fatal("failed to save", zap.Error(errors.New("no space left on device")))
	select {
	case <-s.Done():
	case <-time.After(patience):
		t.Fatal("the server goes on")
	}
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "failed to save: no space left on device") {
		t.Errorf("got error %v", err)
	}
}

func TestLongPathFallsBackToLoopback(t *testing.T) {
	dir := filepath.Join(shortDir(t), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := startServerWith(t, ServerOptions{Dir: dir, Log: discard(), NoSync: true})
	if !strings.HasPrefix(s.Endpoint(), "127.0.0.1:") {
		t.Errorf("got endpoint %s", s.Endpoint())
	}
	o := admit(t, s, "a", Grants{Keys: []string{"k"}})
	if err := dial(t, o).Put(t.Context(), "k", new("v")); err != nil {
		t.Error(err)
	}
	o.Endpoints, o.Dialer = []string{"passthrough:///nowhere"}, s.Dial
	if v, _, err := dial(t, o).Get(t.Context(), "k"); err != nil || v != "v" {
		t.Errorf("through a tunnel: got %q, %v", v, err)
	}
}

func TestOpenDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), ServerOptions{Dir: dir, Log: discard()}); err == nil {
		t.Error("a directory open to others was taken")
	}
	if _, err := Start(t.Context(), ServerOptions{Dir: filepath.Join(dir, "absent"), Log: discard()}); err == nil {
		t.Error("a directory that is not there was taken")
	}
}

// A store that was there before, with certificates and users of its own or none, serves as well.
func TestExternalStore(t *testing.T) {
	dir := shortDir(t)
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	config, err := serverConfig(ServerOptions{Dir: dir, NoSync: true}, a, newNode(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	config.GRPCAdditionalServerOptions = nil // it has users of its own
	config.ListenClientUrls = []url.URL{{Scheme: "https", Host: address}}
	config.AdvertiseClientUrls, config.ListenClientHttpUrls = config.ListenClientUrls, nil
	addressed := func() (cert, key []byte, err error) {
		return a.issue(&x509.Certificate{
			Subject:     pkix.Name{CommonName: "elsewhere"},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}, holderLifetime)
	}
	if config.ClientTLSInfo, err = tlsInfo(dir, "external", a, addressed); err != nil {
		t.Fatal(err)
	}
	e, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)

	cert, key, err := a.client("somebody")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Endpoints: []string{"https://" + address}, Log: discard(), Host: "a"}
	o.Credentials = Credentials{CA: a.pem, Cert: cert, Key: key}
	store, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	host := startAgent(t, o, "file")
	if err := host.Export(t.Context(), exports("file", "x")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutGraph(t.Context(), "a", Graph{Name: "g"}); err != nil {
		t.Fatal(err)
	}
	follow(t, store).wait(t, "the fleet converges", func(f Fleet) bool { return f.Converged([]string{"a"}) })
	if host.found.Load() != 1 {
		t.Error("what the host exports was not collected")
	}
}
