package resident

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestReach(t *testing.T) {
	g := newGround(t)
	peer := netip.MustParseAddrPort(g.freePeer())
	in, end := io.Pipe()
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		ended <- Listen{Port: int(peer.Port()), Token: "token"}.Serve(t.Context(), in, func() error { close(ready); return nil })
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	next := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(peer.Port())+1))
	closed := g.freePeer()
	silent, stranger := listenRaw(t, ""), listenRaw(t, "SSH-2.0-OpenSSH")
	r := Reach{Targets: []Target{
		{"a", peer.String(), "token"}, {"a", next, "token"}, {"a", peer.String(), "other"},
		{"b", closed, "token"}, {"c", silent, "token"}, {"d", stranger, "token"}, {"e", "no-such-host.invalid:7480", "token"},
	}}
	want := []string{"", "", "another program", "connection refused", "said nothing", "another program", "no-such-host.invalid cannot be looked up"}
	for i, reached := range r.Try(t.Context()) {
		if reached.Target != r.Targets[i] {
			t.Errorf("answer %d is about %v", i, reached.Target)
		}
		if want[i] == "" && reached.Error != "" || !strings.Contains(reached.Error, want[i]) {
			t.Errorf("%v: %q, want %q", reached.Target, reached.Error, want[i])
		}
	}
	g.must(end.Close())
	g.must(<-ended)
	if answers := r.Try(t.Context()); !strings.Contains(answers[0].Error, "connection refused") {
		t.Errorf("it goes on listening: %q", answers[0].Error)
	}
}

// listenRaw listens for one that says something else than the token, or nothing.
func listenRaw(t *testing.T, says string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if says == "" {
				defer conn.Close()
				continue
			}
			_, _ = io.WriteString(conn, says)
			conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestListenNamesThePortThatIsTaken(t *testing.T) {
	peer := netip.MustParseAddrPort(newGround(t).freePeer())
	next, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(int(peer.Port())+1)))
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	err = Listen{Port: int(peer.Port())}.Serve(t.Context(), strings.NewReader(""), func() error { return nil })
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(int(peer.Port())+1)) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("the error is %v", err)
	}
}

func TestUnreachableSaysWhy(t *testing.T) {
	for err, want := range map[error]string{
		&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}:       "connection refused",
		&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}:       "no route",
		&net.OpError{Op: "dial", Err: syscall.ENETUNREACH}:        "no route",
		&net.OpError{Op: "dial", Err: context.DeadlineExceeded}:   "no answer within 3s",
		&net.OpError{Op: "dial", Err: syscall.EADDRNOTAVAIL}:      "cannot assign",
		&net.DNSError{Name: "h", Err: "no such host"}:             "the name h",
		&net.DNSError{Name: "h", Err: "timeout", IsTimeout: true}: "the name h",
	} {
		if got := unreachable(err).Error(); !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

func TestLikeliest(t *testing.T) {
	addrs := func(s ...string) (list []netip.Addr) {
		for _, a := range s {
			list = append(list, netip.MustParseAddr(a))
		}
		return list
	}
	nics := []nic{
		{"lo", addrs("127.0.0.1", "::1")},
		{"docker0", addrs("172.17.0.1")},
		{"wg0", addrs("10.9.0.1")},
		{"eth0", addrs("2001:db8::5", "2001:db8::6", "192.0.2.7", "192.0.2.5", "fe80::1", "169.254.7.7")},
		{"br-12ab", addrs("172.18.0.1")},
		{"br0", addrs("10.1.0.1")},
	}
	tests := map[string]struct {
		outward []netip.Addr
		want    string
	}{
		"both":    {addrs("192.0.2.5", "2001:db8::6"), "192.0.2.5 2001:db8::6 192.0.2.7 2001:db8::5 10.9.0.1 10.1.0.1 172.17.0.1 172.18.0.1"},
		"bridge":  {addrs("10.1.0.1"), "10.1.0.1 10.9.0.1 192.0.2.7 192.0.2.5 2001:db8::5 2001:db8::6 172.17.0.1 172.18.0.1"},
		"nowhere": {nil, "10.9.0.1 192.0.2.7 192.0.2.5 10.1.0.1 2001:db8::5 2001:db8::6 172.17.0.1 172.18.0.1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, a := range likeliest(nics, tt.outward) {
				got = append(got, a.String())
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), tt.want)
			}
		})
	}
}

func TestInfoIsPlainJSON(t *testing.T) {
	i, err := Inspect(Layout{Root: t.TempDir()}, "v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range i.Addresses {
		if addr, err := netip.ParseAddr(a); err != nil || addr.IsLoopback() || addr.IsLinkLocalUnicast() {
			t.Errorf("address %s, %v", a, err)
		}
	}
	i.Addresses, i.Root = nil, true
	if text, err := json.Marshal(i); err != nil || string(text) != `{"root":true,"version":"v1","agent":false}` {
		t.Errorf("info is %s, %v", text, err)
	}
}
