package resident

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spore/etcd"
)

// patience is how long a test waits for anything: it bounds what hangs and measures nothing.
const patience = time.Minute

// TestMain makes of this binary what Services run, when they do.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "resident" || os.Args[1] == "version") {
		if err := play(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// play is the command line of the binary, as far as Services use it.
func play(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	root := func(i int) Layout { return Layout{Root: args[i+1]} }
	switch {
	case args[0] == "version":
		return playVersion()
	case args[1] == "supervise":
		s := supervisor{layout: root(3), service: args[2], first: time.Millisecond, most: 100 * time.Millisecond, steady: time.Hour}
		return s.run(ctx, func() { fmt.Print(Supervising) })
	case args[1] == AgentService:
		return playAgent(ctx, root(2))
	case args[1] == StoreService:
		return playStore(ctx, root(2))
	}
	return fmt.Errorf("unknown arguments %q", args)
}

// Trailers at the end of a binary make it one with another digest, and with faults.
const (
	mute        = "mute"        // does not even tell its version
	brokenAgent = "brokenAgent" // ends at once
	brokenStore = "brokenStore"
)

// trailer is what is at the end of the binary that runs.
func trailer() string {
	path, err := os.Executable()
	if err != nil {
		return err.Error()
	}
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	end := make([]byte, 16)
	info, err := f.Stat()
	if err == nil {
		_, err = f.ReadAt(end, info.Size()-16)
	}
	if err != nil {
		return err.Error()
	}
	return strings.TrimLeft(string(end), " ")
}

func playVersion() error {
	if trailer() == mute {
		return fmt.Errorf("this binary is of no use")
	}
	return nil
}

// playAgent holds the lock and serves the control socket until it is told to stop.
func playAgent(ctx context.Context, l Layout) error {
	if trailer() == brokenAgent {
		return fmt.Errorf("this agent is of no use")
	}
	lock, err := tryLock(filepath.Join(l.Dir(), "lock"), os.O_RDWR|os.O_CREATE, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	path := filepath.Join(l.Dir(), "agent.sock")
	_ = os.Remove(path) // of one that was killed
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				line, _ := bufio.NewReader(conn).ReadString('\n')
				if strings.Contains(line, `"stop"`) {
					_ = os.WriteFile(filepath.Join(l.Root, "revoked"), nil, 0o600)
					cancel()
				}
			}()
		}
	}()
	<-ctx.Done()
	return listener.Close()
}

// playStore shakes hands at the port for clients.
func playStore(ctx context.Context, l Layout) error {
	if trailer() == brokenStore {
		return fmt.Errorf("this store is of no use")
	}
	var m Membership
	if err := readJSON(l.membership(), &m); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(l.Store(), "server.crt"), filepath.Join(l.Store(), "server.key"))
	if err != nil {
		return err
	}
	_, client, err := etcd.URLs(m.Peer)
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", strings.TrimPrefix(client, "https://"), &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _ = conn.(*tls.Conn).HandshakeContext(ctx); conn.Close() }()
		}
	}()
	<-ctx.Done()
	return listener.Close()
}

// A ground is a host without systemd.
type ground struct {
	*testing.T
	Layout
	services Services
}

func newGround(t *testing.T) *ground {
	t.Parallel()
	l := Layout{Root: filepath.Join(t.TempDir(), "spore")}
	g := &ground{T: t, Layout: l, services: l.Services()}
	t.Cleanup(func() {
		for _, service := range []string{AgentService, StoreService} {
			if err := g.services.Stop(context.Background(), service); err != nil {
				t.Error(err)
			}
		}
	})
	return g
}

func (g *ground) installation() Installation {
	return Installation{
		Config:      Config{Cluster: "id-1", Name: "garden", Host: "a", Peer: "127.0.0.1:7480"},
		Credentials: etcd.Credentials{Host: "a", Server: "spore", CA: []byte("ca"), Cert: []byte("cert"), Key: []byte("key")},
	}
}

// install installs this binary.
func (g *ground) install() Installed {
	g.Helper()
	self, err := os.Executable()
	g.must(err)
	g.must(os.MkdirAll(filepath.Join(g.Root, "cache"), 0o700)) // where it would come from
	out, err := install(g.Context(), g.Layout, g.services, self, g.installation())
	g.must(err)
	return out
}

func (g *ground) start() {
	g.Helper()
	g.must(start(g.Context(), g.Layout, g.services))
	g.await("the agent runs", func() bool { return g.agent() > 0 })
}

// agent returns the process that serves the control socket, 0 if none does.
func (g *ground) agent() int {
	conn, err := g.dialAgent()
	if err != nil {
		return 0
	}
	defer conn.Close()
	pid, err := peerPID(conn)
	g.must(err)
	return pid
}

// binary returns the path in the cache of this binary with a trailer at its end.
func (g *ground) binary(trailer string) string {
	g.Helper()
	self, err := os.Executable()
	g.must(err)
	temporary := filepath.Join(g.TempDir(), "spore")
	g.must(copyFile(self, temporary))
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_APPEND, 0)
	g.must(err)
	_, err = fmt.Fprintf(f, "%16s", trailer)
	g.must(err)
	g.must(f.Close())
	digest, err := digestOf(temporary)
	g.must(err)
	path := g.cached(digest)
	g.must(os.MkdirAll(filepath.Dir(path), 0o700))
	g.must(os.Rename(temporary, path))
	return path
}

func (g *ground) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

func (g *ground) await(what string, done func() bool) {
	g.Helper()
	if !eventually(g.Context(), patience, done) {
		ended, _ := filepath.Glob(filepath.Join(g.Dir(), "*.ended"))
		for _, path := range ended {
			text, _ := os.ReadFile(path)
			g.Logf("%s", text)
		}
		g.Fatalf("waited in vain until %s", what)
	}
}

func (g *ground) exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
