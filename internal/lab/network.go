package lab

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

const netnsDir = "/run/netns"

// A subnet is 10.213.<N>.0/24 and fd73:706f:7265:<N>::/64: the machine has .1, host i has .i+2.
type subnet int

func (n subnet) bridge() string        { return fmt.Sprintf("spore%d", n) }
func (n subnet) port(i int) string     { return fmt.Sprintf("spore%dv%d", n, i) }
func (n subnet) machine() netip.Prefix { return netip.PrefixFrom(n.addr4(1), 24) }
func (n subnet) addr4(b int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 213, byte(n), byte(b)})
}

func (n subnet) addr6(b int) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfd, 0x73, 0x70, 0x6f, 0x72, 0x65, 0, byte(n), 15: byte(b)})
}

// namespace is also the machine name that nspawn goes by.
func (n subnet) namespace(host string) string { return fmt.Sprintf("spore%d-%s", n, host) }

// free reports that neither a bridge nor any address of the machine is in n's way.
func (n subnet) free() bool {
	if _, err := net.InterfaceByName(n.bridge()); err == nil {
		return false
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Masked().Overlaps(n.machine().Masked()) {
			return false
		}
	}
	return true
}

// connect makes the bridge, and for each host a namespace with an addressed port on the bridge.
// Isolated ports reach the machine but not each other.
func (n subnet) connect(ctx context.Context, hosts []string, isolated bool) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "link add %s type bridge\n", n.bridge())
	fmt.Fprintf(&b, "addr add %s dev %s\n", n.machine(), n.bridge())
	fmt.Fprintf(&b, "addr add %s/64 dev %s nodad\n", n.addr6(1), n.bridge())
	fmt.Fprintf(&b, "link set %s up\n", n.bridge())
	for i, host := range hosts {
		fmt.Fprintf(&b, "netns add %s\n", n.namespace(host))
		fmt.Fprintf(&b, "link add %s type veth peer name eth0 netns %s\n", n.port(i), n.namespace(host))
		fmt.Fprintf(&b, "link set %s master %s up\n", n.port(i), n.bridge())
		if isolated {
			fmt.Fprintf(&b, "link set dev %s type bridge_slave isolated on\n", n.port(i))
		}
	}
	if _, err := run(ctx, b.Bytes(), "ip", "-batch", "-"); err != nil {
		return err
	}
	return each(ctx, len(hosts), func(ctx context.Context, i int) error {
		var b bytes.Buffer
		fmt.Fprintln(&b, "link set lo up")
		fmt.Fprintf(&b, "addr add %s/24 dev eth0\n", n.addr4(i+2))
		fmt.Fprintf(&b, "addr add %s/64 dev eth0 nodad\n", n.addr6(i+2))
		fmt.Fprintln(&b, "link set eth0 up")
		_, err := run(ctx, b.Bytes(), "ip", "-n", n.namespace(hosts[i]), "-batch", "-")
		return err
	})
}

// disconnect takes away whatever connect made, or as much of it as there is.
func (n subnet) disconnect(ctx context.Context, hosts []string) error {
	var spaces, links bytes.Buffer
	for _, host := range hosts {
		if exists(filepath.Join(netnsDir, n.namespace(host))) {
			fmt.Fprintf(&spaces, "netns del %s\n", n.namespace(host))
		}
	}
	if err := ipBatch(ctx, spaces.Bytes()); err != nil {
		return err
	}
	// A namespace takes its link along some time later, all of them at once; deleting the links
	// one by one takes the kernel thirty times as long, and is for those that stay.
	n.awaitUnlinked(ctx, len(hosts), 3*time.Second)
	for i := range hosts {
		if n.linked(i) {
			fmt.Fprintf(&links, "link del %s\n", n.port(i))
		}
	}
	if exists(filepath.Join(sysNet, n.bridge())) {
		fmt.Fprintf(&links, "link del %s\n", n.bridge())
	}
	return ipBatch(ctx, links.Bytes())
}

const sysNet = "/sys/class/net"

func (n subnet) linked(i int) bool { return exists(filepath.Join(sysNet, n.port(i))) }

// awaitUnlinked gives the kernel some time to remove the ports of hosts 0 … count-1.
func (n subnet) awaitUnlinked(ctx context.Context, count int, limit time.Duration) {
	deadline := time.Now().Add(limit)
	for i := range count {
		for n.linked(i) && ctx.Err() == nil && time.Now().Before(deadline) {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func ipBatch(ctx context.Context, commands []byte) error {
	if len(commands) == 0 {
		return nil
	}
	_, err := run(ctx, commands, "ip", "-force", "-batch", "-")
	return err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
