package dial_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"spore/internal/sshtest"
	"spore/remote/dial"
)

// fleet is a user and n servers that take the user's key, called h0, h1 … in ssh_config; the
// rest of ssh_config follows after them.
func fleet(t *testing.T, n int, config string) (*user, []*sshtest.Server) {
	t.Helper()
	u := newUser(t)
	key := u.key("id_ed25519")
	var text strings.Builder
	servers := make([]*sshtest.Server, n)
	for i := range servers {
		servers[i] = start(t, sshtest.Options{AuthorizedKeys: keys(key)})
		text.WriteString("Host h" + strconv.Itoa(i) + "\n HostName 127.0.0.1\n User me\n Port " + port(servers[i]) + "\n")
	}
	u.write("config", text.String()+config)
	u.trust(servers...)
	return u, servers
}

func TestJump(t *testing.T) {
	u, servers := fleet(t, 3, "Host h2\n ProxyJump h0,h1\n")
	c := u.mustDial("h2")
	for i, s := range servers {
		if s.Connections() != 1 {
			t.Errorf("h%d was connected to %d times", i, s.Connections())
		}
	}
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	waitUntil(t, "the jump hosts being left", func() bool { return servers[0].Open()+servers[1].Open()+servers[2].Open() == 0 })
	u.mustDial("h2") // dials the whole chain anew
}

// However many hosts stand behind it, a jump host sees one connection.
func TestJumpIsShared(t *testing.T) {
	u, servers := fleet(t, 4, "Host h1 h2 h3\n ProxyJump h0\n")
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			if _, err := u.dial("h" + strconv.Itoa(1+i%3)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := servers[0].Connections(); n != 1 {
		t.Errorf("the jump host was connected to %d times", n)
	}
	servers[0].DropAll()
	u.mustDial("h1")
	if n := servers[0].Connections(); n != 2 {
		t.Errorf("after a cut the jump host was connected to %d times, want 2", n)
	}
}

// Each hop's own key is verified, and the error names the hop.
func TestJumpHostKeys(t *testing.T) {
	u, servers := fleet(t, 3, "Host h2\n ProxyJump h0,h1\n")
	for i, want := range []string{bracketed(servers[0]), bracketed(servers[1]), bracketed(servers[2])} {
		v := u.again()
		known := append([]*sshtest.Server(nil), servers[:i]...)
		v.trust(append(known, servers[i+1:]...)...)
		_, err := v.dial("h2")
		if e := wantError[*dial.HostKeyError](t, err, false); e.Host != want {
			t.Errorf("hop %d unknown: the error is of %s, want %s", i, e.Host, want)
		}
	}
	if servers[2].Connections() != 1 {
		t.Errorf("the host was reached %d times, want 1", servers[2].Connections())
	}
}

func TestJumpFailures(t *testing.T) {
	u, servers := fleet(t, 2, "Host h1\n ProxyJump h0\nHost dead\n HostName 127.0.0.1\n Port 1\n ProxyJump h0\n")
	_, err := u.dial("dead")
	wantError[*dial.UnreachableError](t, err, true, "dead", "through h0")

	servers[0].Refuse(true)
	_, err = u.again().dial("h1")
	if e := wantError[*dial.UnreachableError](t, err, true); e.Host != "h0" {
		t.Errorf("the error is of %s, want h0", e.Host)
	}

	key := u.key("id_ed25519")
	forbids := start(t, sshtest.Options{AuthorizedKeys: keys(key), NoTCPForward: true})
	u.trust(forbids)
	u.write("config", "Host b\n HostName 127.0.0.1\n Port "+port(forbids)+"\nHost w\n ProxyJump me@b\n")
	_, err = u.again().dial("w")
	wantError[*dial.UnreachableError](t, err, false, "through b", "prohibited")
}

func TestProxyCommand(t *testing.T) {
	if _, err := os.Stat("/bin/bash"); err != nil {
		t.Fatal("this test needs bash for its /dev/tcp: ", err)
	}
	u, servers := fleet(t, 1, "")
	script := filepath.Join(u.home, "proxy")
	pids := filepath.Join(u.home, "pids")
	text := "#!/bin/bash\nsleep 1000 & echo $$ $! >" + pids + "\nexec 3<>/dev/tcp/$1/$2\ncat <&3 &\nexec cat >&3\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	u.write("config", "Host w\n HostName 127.0.0.1\n User me\n Port "+port(servers[0])+"\n ProxyCommand "+script+" %h %p # comment\n")
	c := u.mustDial("w")
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	b, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	// A background process of the command ends as well.
	for _, f := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "process "+f+" ending", func() bool { return ended(pid) })
	}
}

// ended reports whether a process has gone, or waits only to be reaped by init.
func ended(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(b), ") Z ")
}

func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

func TestProxyCommandFails(t *testing.T) {
	u := newUser(t)
	u.write("config", "Host w\n ProxyCommand echo no route to %h >&2; exit 1\n")
	_, err := u.dial("w")
	wantError[*dial.UnreachableError](t, err, true, "connect to w", `"no route to w"`)
}

func TestUnreachable(t *testing.T) {
	u, servers := fleet(t, 1, "")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	_ = l.Close()
	_, err = u.dial("me@" + closed)
	e := wantError[*dial.UnreachableError](t, err, true, closed, "refused")
	if !errors.Is(e, syscall.ECONNREFUSED) {
		t.Errorf("error %v is not ECONNREFUSED", e)
	}

	// What MaxStartups does to those beyond it.
	servers[0].Refuse(true)
	_, err = u.dial("h0")
	wantError[*dial.UnreachableError](t, err, true, "connect to h0 ("+servers[0].Addr()+")")

	_, err = u.dial("me@name.invalid")
	wantError[*dial.UnreachableError](t, err, false, "name.invalid")

	// Nothing in common is not mended by trying again.
	servers[0].Refuse(false)
	v := u.again()
	v.write("config", "Host h0\n HostName 127.0.0.1\n Port "+port(servers[0])+"\n HostKeyAlgorithms rsa-sha2-512\n")
	_, err = v.dial("me@h0")
	wantError[*dial.UnreachableError](t, err, false, "no common algorithm")
}

// silent is a listener that accepts and never says a word.
func silent(t *testing.T) (addr string, accepted <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan struct{}, 100)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			ch <- struct{}{}
			wg.Go(func() { _, _ = io.Copy(io.Discard, c); _ = c.Close() }) // until the dialer closes
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String(), ch
}

func TestSilentHost(t *testing.T) {
	addr, _ := silent(t)
	u := newUser(t)
	u.dialer.Timeout = 50 * time.Millisecond
	_, err := u.dial("me@" + addr)
	wantError[*dial.UnreachableError](t, err, true, "no answer within 50ms")
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v is not a deadline's", err)
	}
}

func TestCancel(t *testing.T) {
	addr, accepted := silent(t)
	u, _ := fleet(t, 1, "")
	host, p, _ := net.SplitHostPort(addr)
	u.write("config", u.read("config")+"Host behind\n HostName "+host+"\n Port "+p+"\n ProxyJump h0\nHost jump\n ProxyJump me@"+addr+"\nHost command\n ProxyCommand sleep 1000\n")
	for _, address := range []string{"me@" + addr, "behind", "jump", "command"} {
		t.Run(address, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := u.dialCtx(ctx, address)
				done <- err
			}()
			if address != "command" {
				<-accepted
			}
			cancel()
			select {
			case err := <-done:
				if !errors.Is(err, context.Canceled) || dial.Temporary(err) {
					t.Errorf("error %v", err)
				}
			case <-time.After(deadline):
				t.Error("Dial did not return")
			}
		})
	}
}

// A host that stops answering is given up; one that merely has nothing to say is not.
func TestKeepalive(t *testing.T) {
	u := newUser(t)
	key := keys(u.key("id_ed25519"))
	hung, fine := start(t, sshtest.Options{AuthorizedKeys: key, IgnoreKeepalive: true}), start(t, sshtest.Options{AuthorizedKeys: key})
	u.trust(hung, fine)
	u.write("config", "ServerAliveInterval 1\nServerAliveCountMax 1\n")
	alive := u.mustDial("me@" + fine.Addr())
	dead := u.mustDial("me@" + hung.Addr())
	ended := make(chan struct{})
	go func() { _ = dead.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(deadline):
		t.Fatal("the silent connection was not closed")
	}
	s, err := alive.NewSession()
	if err != nil {
		t.Fatalf("the idle connection was closed: %v", err)
	}
	_ = s.Close()
}
