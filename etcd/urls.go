package etcd

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
)

// URLs returns at which URLs the member at peer, host:port, is reached: by the other members there,
// and by clients at the next port.
func URLs(peer string) (peerURL, clientURL string, err error) {
	p, c, err := memberURLs(peer)
	if err != nil {
		return "", "", err
	}
	return p.String(), c.String(), nil
}

func memberURLs(peer string) (peerURL, clientURL url.URL, err error) {
	host, text, err := net.SplitHostPort(peer)
	if err != nil {
		return url.URL{}, url.URL{}, fmt.Errorf("read peer address: %w", err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || host == "" || port == 0 || port == 1<<16-1 {
		return url.URL{}, url.URL{}, fmt.Errorf("read peer address %q: it has to be host:port, with a port from 1 to 65534", peer)
	}
	return at(host, port), at(host, port+1), nil
}

func at(host string, port uint64) url.URL {
	return url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.FormatUint(port, 10))}
}

// bind returns the URL to listen at for u to be reached: its address, if that is one of the
// machine's own, or all of them.
func bind(u url.URL, own []net.Addr) url.URL {
	ip := net.ParseIP(u.Hostname())
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok && ip != nil && n.Contains(ip) && (n.IP.Equal(ip) || n.IP.IsLoopback()) {
			return u
		}
	}
	u.Host = ":" + u.Port()
	return u
}

// memberName is what the members call the host: a name in which nothing means something to etcd.
func memberName(host string) string { return url.QueryEscape(host) }

// memberHost is the host that the members call so.
func memberHost(name string) string {
	host, err := url.QueryUnescape(name)
	if err != nil {
		return name
	}
	return host
}
