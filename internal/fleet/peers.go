package fleet

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Peers say where the hosts of a detached fleet reach each other.
type Peers struct {
	Port     int            // of members among themselves; the next is for clients
	networks []netip.Prefix // only addresses in one of these; any if there is none
	hosts    map[string]string
}

// ParsePeers reads what people say of the hosts' addresses: a network such as 10.1.0.0/16, or
// host=address, where the address may be a name.
func ParsePeers(port int, addresses []string) (Peers, error) {
	p := Peers{Port: port, hosts: map[string]string{}}
	if port < 1 || port > 65534 {
		return p, fmt.Errorf("peer port %d: it takes one from 1 to 65534, the next being for clients", port)
	}
	for _, text := range addresses {
		if host, address, ok := strings.Cut(text, "="); ok && host != "" && address != "" {
			p.hosts[host] = strings.Trim(address, "[]")
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return p, fmt.Errorf("peer address %q: it is neither a network such as 10.1.0.0/16 nor host=address", text)
		}
		p.networks = append(p.networks, network.Masked())
	}
	return p, nil
}

// candidates are the addresses, host:port, at which a host may be reached that has those IPs.
func (p Peers) candidates(host string, ips []string) (addresses []string, err error) {
	if given, ok := p.hosts[host]; ok {
		return []string{p.at(given)}, nil
	}
	for _, text := range ips {
		ip, err := netip.ParseAddr(text)
		if err == nil && p.admits(ip) {
			addresses = append(addresses, p.at(text))
		}
	}
	if len(addresses) == 0 {
		return nil, fmt.Errorf("it has no address that the other hosts could use (it has %s): give one with --peer-address %s=ADDRESS",
			listOf(ips), host)
	}
	return addresses, nil
}

func listOf(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

func (p Peers) admits(ip netip.Addr) bool {
	return len(p.networks) == 0 || slices.ContainsFunc(p.networks, func(n netip.Prefix) bool { return n.Contains(ip.Unmap()) })
}

func (p Peers) at(address string) string { return net.JoinHostPort(address, strconv.Itoa(p.Port)) }

// nextPort is the address at which a member serves clients that others reach at peer.
func nextPort(peer string) (string, error) {
	host, text, err := net.SplitHostPort(peer)
	if err != nil {
		return "", err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(port+1)), nil
}
