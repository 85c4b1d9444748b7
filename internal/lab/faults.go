package lab

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// downTimeout is long because an orderly shutdown waits for the host's services.
const downTimeout = time.Minute

// Crash ends every process of the host at once, as a power cut would. Its disk stays.
func (h *Host) Crash(ctx context.Context) error {
	unlock, err := h.exclusive(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	supervisor, leader := h.processes()
	if !leader.alive() {
		return fmt.Errorf("crash host %s: it is not running", h.Name)
	}
	leader.kill()
	return h.awaitDown(ctx, supervisor)
}

func (h *Host) awaitDown(ctx context.Context, supervisor process) error {
	ctx, cancel := context.WithTimeout(ctx, downTimeout)
	defer cancel()
	if err := waitGone(ctx, supervisor.PID); err != nil {
		return fmt.Errorf("host %s does not go down: %w", h.Name, err)
	}
	return nil
}

// Reboot restarts the host in order, and returns when it serves SSH again.
func (h *Host) Reboot(ctx context.Context) error {
	if h.lab.state.Light {
		if err := h.Crash(ctx); err != nil {
			return err
		}
		return h.Start(ctx)
	}
	supervisor, _ := h.processes()
	if _, err := h.Run(ctx, "systemctl", "--no-block", "reboot"); err != nil {
		return err
	}
	if err := h.awaitDown(ctx, supervisor); err != nil {
		return err
	}
	return h.Start(ctx)
}

// Cut takes the host off the network: what it and others send is lost without a word. The host
// itself sees its link up, as it would were the cut some routers away.
func (h *Host) Cut(ctx context.Context) error { return h.setPort(ctx, "disabled", "0") }

// Heal undoes Cut, CutFrom and CutTo.
func (h *Host) Heal(ctx context.Context) error {
	if err := h.healOneWay(ctx); err != nil {
		return err
	}
	return h.setPort(ctx, "forwarding", "3")
}

func (h *Host) setPort(ctx context.Context, word, state string) error {
	_, err := run(ctx, nil, "bridge", "link", "set", "dev", h.port(), "state", state)
	if err != nil {
		return fmt.Errorf("set network of host %s to %s: %w", h.Name, word, err)
	}
	return nil
}

// SlowDown limits the host's network to a rate such as "10mbit" in each direction; "" lifts it.
func (h *Host) SlowDown(ctx context.Context, rate string) error {
	inside := []string{"ip", "netns", "exec", h.namespace(), "tc", "qdisc"}
	for _, link := range [][]string{{"tc", "qdisc"}, inside} {
		dev := h.port()
		if len(link) > 2 {
			dev = "eth0"
		}
		args := append(link, "replace", "dev", dev, "root", "tbf", "rate", rate, "burst", "64kb", "latency", "300ms")
		if rate == "" {
			args = append(link, "replace", "dev", dev, "root", "pfifo_fast")
		}
		if _, err := run(ctx, nil, args...); err != nil {
			return fmt.Errorf("limit host %s to %q: %w", h.Name, rate, err)
		}
	}
	return nil
}

const fillFile = ".spore-lab-fill"

// LimitDisk puts a small file system of the given size, such as "64m", over a directory of the
// host, with the directory's present content. It goes with the next crash or reboot.
func (h *Host) LimitDisk(ctx context.Context, dir, size string) error {
	const script = `set -e
mkdir -p "$1"; t=$(mktemp -d); mount -t tmpfs -o size="$2" spore-lab-limit "$t"
cp -a "$1/." "$t/"; mount --bind "$t" "$1"; umount "$t"; rmdir "$t"`
	_, err := h.Run(ctx, "sh", "-c", script, "sh", dir, size)
	return err
}

// FillDisk leaves no free byte in a directory of the host. One that is neither a volume nor prepared
// by LimitDisk is limited to 64 MiB first, so that the machine's own disk is never filled.
func (h *Host) FillDisk(ctx context.Context, dir string) error {
	_, bounded := h.lab.state.Volumes[filepath.Clean(dir)]
	if !bounded {
		_, err := h.Run(ctx, "sh", "-c", `grep -q "^spore-lab-limit $1 " /proc/mounts`, "sh", filepath.Clean(dir))
		bounded = err == nil
	}
	if !bounded {
		if err := h.LimitDisk(ctx, dir, "64m"); err != nil {
			return err
		}
	}
	// dd ends with an error when the disk is full: that is the point. A file system with a journal
	// finds some more room at each sync.
	const script = `for i in 1 2 3 4 5 6 7 8 9; do
dd if=/dev/zero bs=64k 2>/dev/null >>"$1"; dd if=/dev/zero bs=1 count=4096 2>/dev/null >>"$1"; sync -f "$1"
dd if=/dev/zero bs=1 count=1 2>/dev/null >>"$1" || exit 0
done; echo "there is always some room left" >&2; exit 1`
	_, err := h.Run(ctx, "sh", "-c", script, "sh", filepath.Join(dir, fillFile))
	return err
}

// FreeDisk gives back the space that FillDisk took.
func (h *Host) FreeDisk(ctx context.Context, dir string) error {
	_, err := h.Run(ctx, "rm", filepath.Join(dir, fillFile))
	return err
}
