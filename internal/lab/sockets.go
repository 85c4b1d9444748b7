package lab

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// readSockets lists what listens in the network namespace whose /proc/PID/net is dir.
func readSockets(dir string) (map[string]string, error) {
	out := map[string]string{}
	for _, proto := range []string{"tcp", "tcp6", "udp", "udp6", "unix"} {
		b, err := os.ReadFile(filepath.Join(dir, proto))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			name := parseInet(proto, line)
			if proto == "unix" {
				name = parseUnix(line)
			}
			if name != "" {
				out[name] = "listening"
			}
		}
	}
	return out, nil
}

// parseInet reads a line of /proc/net/tcp or udp; "" means that nothing listens by it.
func parseInet(proto, line string) string {
	f := strings.Fields(line)
	if len(f) < 4 {
		return ""
	}
	// 0A is LISTEN; 07, CLOSE, is how an unconnected UDP socket shows.
	if want := map[bool]string{true: "0A", false: "07"}[strings.HasPrefix(proto, "tcp")]; f[3] != want {
		return ""
	}
	host, port, _ := strings.Cut(f[1], ":")
	b, err := hex.DecodeString(host)
	if err != nil {
		return ""
	}
	for word := range slices.Chunk(b, 4) { // each word is in the machine's order
		slices.Reverse(word)
	}
	addr, ok := netip.AddrFromSlice(b)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return ""
	}
	return fmt.Sprintf("%s %s", proto, netip.AddrPortFrom(addr, uint16(n)))
}

// parseUnix reads a line of /proc/net/unix: what accepts connections, and datagram sockets
// that have a place in the file system.
func parseUnix(line string) string {
	f := strings.Fields(line)
	if len(f) < 8 {
		return ""
	}
	const accepting = 1 << 16
	flags, err := strconv.ParseUint(f[3], 16, 32)
	if err != nil || (flags&accepting == 0 && (f[4] != "0002" || f[7][0] != '/')) {
		return ""
	}
	return "unix " + strings.Join(f[7:], " ")
}
