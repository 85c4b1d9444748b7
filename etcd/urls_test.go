package etcd

import (
	"net"
	"net/url"
	"testing"
)

func TestURLs(t *testing.T) {
	for peer, want := range map[string][2]string{
		"10.0.0.1:7480":        {"https://10.0.0.1:7480", "https://10.0.0.1:7481"},
		"[fd00::1]:7480":       {"https://[fd00::1]:7480", "https://[fd00::1]:7481"},
		"db.example.org:65534": {"https://db.example.org:65534", "https://db.example.org:65535"},
	} {
		p, c, err := URLs(peer)
		if err != nil || p != want[0] || c != want[1] {
			t.Errorf("%s: got %s, %s, %v", peer, p, c, err)
		}
	}
	for _, peer := range []string{"", "host", ":7480", "host:0", "host:65535", "host:x", "fd00::1:7480"} {
		if p, c, err := URLs(peer); err == nil {
			t.Errorf("%q was taken for %s, %s", peer, p, c)
		}
	}
}

func TestBind(t *testing.T) {
	own := []net.Addr{
		&net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: net.CIDRMask(8, 32)},
		&net.IPNet{IP: net.IPv4(10, 0, 0, 1), Mask: net.CIDRMask(24, 32)},
		&net.IPNet{IP: net.ParseIP("fd00::1"), Mask: net.CIDRMask(64, 128)},
	}
	for host, want := range map[string]string{
		"10.0.0.1:1":  "10.0.0.1:1",
		"10.0.0.2:1":  ":1", // of a neighbour, or before a router that translates
		"127.0.0.7:1": "127.0.0.7:1",
		"[fd00::1]:1": "[fd00::1]:1",
		"[fd00::2]:1": ":1",
		"a.example:1": ":1",
	} {
		if got := bind(url.URL{Scheme: "https", Host: host}, own); got.Host != want {
			t.Errorf("%s: listens at %s, want %s", host, got.Host, want)
		}
	}
}

func TestNamesOfMembers(t *testing.T) {
	for _, host := range []string{"a", "user@a.example:22", "a=b,c=d", "ünï/cödé", "a b"} {
		if got := memberHost(memberName(host)); got != host {
			t.Errorf("%q became %q", host, got)
		}
	}
}
