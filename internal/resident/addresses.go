package resident

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// A nic is a network interface with its addresses.
type nic struct {
	name  string
	addrs []netip.Addr
}

func (i *Info) addresses(Layout) error {
	var nics []nic
	all, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.Flags&net.FlagUp == 0 {
			continue
		}
		n := nic{name: one.Name}
		addrs, err := one.Addrs()
		if err != nil {
			continue // it went in between
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				n.addrs = append(n.addrs, p.Addr())
			}
		}
		nics = append(nics, n)
	}
	for _, a := range likeliest(nics, outward()) {
		i.Addresses = append(i.Addresses, a.String())
	}
	return nil
}

// outward returns the addresses from which the host speaks to the world, if it has a way there.
func outward() (from []netip.Addr) {
	// To connect a UDP socket sends nothing; it only looks for a route. The addresses are of those
	// kept for documentation.
	for _, world := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		conn, err := net.Dial("udp", world)
		if err != nil {
			continue
		}
		if local, ok := conn.LocalAddr().(*net.UDPAddr); ok {
			from = append(from, local.AddrPort().Addr().Unmap())
		}
		conn.Close()
	}
	return from
}

// likeliest returns the addresses that other hosts may reach this one at: first those of the
// interfaces that lead outward, last those of networks within the host, IPv4 before IPv6.
func likeliest(nics []nic, outward []netip.Addr) []netip.Addr {
	type candidate struct {
		addr netip.Addr
		rank int
	}
	var found []candidate
	for _, n := range nics {
		rank := 2
		switch {
		case slices.ContainsFunc(n.addrs, func(a netip.Addr) bool { return slices.Contains(outward, a) }):
			rank = 1
		case within(n.name):
			rank = 3
		}
		for _, a := range n.addrs {
			if !a.IsGlobalUnicast() { // as loopback and link-local are not
				continue
			}
			own := rank
			if slices.Contains(outward, a) {
				own = 0 // the interface may have others that are not for this
			}
			found = append(found, candidate{a, own})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.addr.BitLen(), b.addr.BitLen()))
	})
	addrs := make([]netip.Addr, len(found))
	for i, f := range found {
		addrs[i] = f.addr
	}
	return addrs
}

// within says that an interface, by its name, is one of containers and virtual machines on the host.
func within(name string) bool {
	return slices.ContainsFunc([]string{
		"docker", "br-", "veth", "virbr", "vnet", "cni", "flannel", "cali", "cilium", "kube", "lxc", "lxd", "podman", "ve-", "vz-",
	}, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}
