package lab

import (
	"bytes"
	"context"
	"fmt"
)

// CutFrom loses without a word what the host sends; it still hears the others. Cut adds to it, and
// Heal undoes both.
func (h *Host) CutFrom(ctx context.Context) error { return h.lose(ctx, "ingress") }

// CutTo loses without a word what others send to the host; they still hear it. Cut adds to it, and
// Heal undoes both.
func (h *Host) CutTo(ctx context.Context) error { return h.lose(ctx, "egress") }

// Programs of classic BPF that say to drop (2) all packets, or to go on (-1) with those of ICMPv6.
// Who has which address stays known by ARP and ICMPv6, as it would were the cut some routers away.
const (
	dropAll        = "1,6 0 0 2"
	dropAllButND   = "4,48 0 0 20,21 0 1 58,6 0 0 4294967295,6 0 0 2"
	oneWayQdisc    = "clsact"
	oneWayPriority = 1
)

// lose drops what passes the machine's end of the host's link in a direction.
func (h *Host) lose(ctx context.Context, direction string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "qdisc replace dev %s %s\n", h.port(), oneWayQdisc)
	for i, f := range [][2]string{{"ip", dropAll}, {"ipv6", dropAllButND}} {
		fmt.Fprintf(&b, "filter replace dev %s %s protocol %s prio %d handle 1 bpf direct-action bytecode \"%s\"\n",
			h.port(), direction, f[0], oneWayPriority+i, f[1])
	}
	if _, err := run(ctx, b.Bytes(), "tc", "-batch", "-"); err != nil {
		return fmt.Errorf("cut %s of host %s: %w", direction, h.Name, err)
	}
	return nil
}

// healOneWay undoes CutFrom and CutTo.
func (h *Host) healOneWay(ctx context.Context) error {
	have, err := run(ctx, nil, "tc", "qdisc", "show", "dev", h.port())
	if err == nil && bytes.Contains(have, []byte(oneWayQdisc)) {
		_, err = run(ctx, nil, "tc", "qdisc", "del", "dev", h.port(), oneWayQdisc)
	}
	if err != nil {
		return fmt.Errorf("heal the link of host %s: %w", h.Name, err)
	}
	return nil
}
