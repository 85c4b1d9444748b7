package lab_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spore/internal/lab"
	"spore/internal/lab/labtest"
)

// ssh runs a command on a host by OpenSSH's client and returns its trimmed output.
func ssh(ctx context.Context, l *lab.Lab, host string, command ...string) (string, error) {
	args := append([]string{"-F", l.SSHConfig(), "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", host}, command...)
	out, err := exec.CommandContext(ctx, "ssh", args...).CombinedOutput()
	if err != nil {
		err = errors.Join(err, errors.New(string(out)))
	}
	return strings.TrimSpace(string(out)), err
}

func mustSSH(t *testing.T, l *lab.Lab, host string, command ...string) string {
	t.Helper()
	out, err := ssh(t.Context(), l, host, command...)
	if err != nil {
		t.Fatalf("ssh %s: %v", host, err)
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func inside(t *testing.T, h *lab.Host, argv ...string) string {
	t.Helper()
	out, err := h.Run(t.Context(), argv...)
	must(t, err)
	return strings.TrimSpace(string(out))
}

// eventually waits for what becomes true by itself.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never came: %s", what)
		}
	}
}

// reaches tells whether the machine gets a connection to the host's sshd.
func reaches(h *lab.Host) bool {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(h.Addr.String(), "22"), 300*time.Millisecond)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// connects tells whether one host gets a connection to another's sshd.
func connects(t *testing.T, from, to *lab.Host) bool {
	_, err := from.Run(t.Context(), "timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/"+to.Addr.String()+"/22")
	return err == nil
}

func TestLab(t *testing.T) {
	l := labtest.For(t, 3, lab.Options{})
	a, b, c := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	t.Run("ssh", func(t *testing.T) {
		for _, h := range l.Hosts {
			if got := mustSSH(t, l, h.Name, "hostname"); got != h.Name {
				t.Errorf("host %s says it is %q", h.Name, got)
			}
		}
		for _, target := range []string{a.Addr.String(), "root@" + a.Addr6.String()} {
			if got := mustSSH(t, l, target, "hostname"); got != "a" {
				t.Errorf("by %s: %q", target, got)
			}
		}
		if got := inside(t, a, "systemctl", "is-system-running"); got != "running" {
			t.Errorf("systemd is %s", got)
		}
		eventually(t, "a connection from a to b", func() bool { return connects(t, a, b) })
		if got := inside(t, a, "stat", "-c", "%a %U", "/"); got != "755 root" {
			t.Errorf("root directory is %s", got)
		}
	})
	t.Run("root", func(t *testing.T) {
		inside(t, a, "sh", "-c", "echo here >/root/mark")
		b, err := os.ReadFile(filepath.Join(a.Root(), "root/mark"))
		if must(t, err); string(b) != "here\n" {
			t.Errorf("from outside: %q", b)
		}
	})
	t.Run("run", func(t *testing.T) {
		if _, err := a.Run(t.Context(), "sh", "-c", "echo why >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "why") {
			t.Errorf("error without stderr: %v", err)
		}
	})
	t.Run("cut", func(t *testing.T) {
		must(t, b.Cut(t.Context()))
		if reaches(b) || connects(t, a, b) {
			t.Error("b is reached though cut off")
		}
		must(t, b.Reboot(t.Context())) // from within: nobody reaches it
		if reaches(b) {
			t.Error("a reboot healed the cut")
		}
		must(t, b.Heal(t.Context()))
		eventually(t, "b reached again", func() bool { return reaches(b) && connects(t, a, b) })
	})
	t.Run("crash", func(t *testing.T) {
		inside(t, c, "sh", "-c", "echo kept >/root/mark; sync; setsid sleep 1000 >/dev/null 2>&1 &")
		must(t, c.Crash(t.Context()))
		if c.Running() || reaches(c) {
			t.Error("c runs after its crash")
		}
		if _, err := c.Run(t.Context(), "true"); err == nil {
			t.Error("ran a command in a crashed host")
		}
		must(t, c.Start(t.Context()))
		if got := mustSSH(t, l, "c", "cat /root/mark; pgrep -x sleep || echo none"); got != "kept\nnone" {
			t.Errorf("after the crash: %q", got)
		}
	})
	t.Run("reboot", func(t *testing.T) {
		const bootID = "/proc/sys/kernel/random/boot_id"
		before := mustSSH(t, l, "c", "cat", bootID)
		must(t, c.Reboot(t.Context()))
		after := mustSSH(t, l, "c", "cat", bootID)
		if before == after {
			t.Error("Reboot did not reboot")
		}
		ssh(t.Context(), l, "c", "systemctl --no-block reboot") // the connection may break
		eventually(t, "the host back from its own reboot", func() bool {
			got, err := ssh(t.Context(), l, "c", "cat", bootID)
			return err == nil && got != after
		})
	})
}

func TestHostSettings(t *testing.T) {
	l := labtest.For(t, 2, lab.Options{})
	a := l.Hosts[0]
	t.Run("users", func(t *testing.T) {
		must(t, a.AddUser(t.Context(), "ann", "it's a password"))
		if got := mustSSH(t, l, "ann@a", "id -un; pwd"); got != "ann\n/home/ann" {
			t.Errorf("by key: %q", got)
		}
		for user, password := range map[string]string{"root": a.Password, "ann": "it's a password"} {
			if got, err := passwordLogin(l, a, user, password); err != nil || got != user {
				t.Errorf("%s by password: %q, %v", user, got, err)
			}
		}
		if _, err := passwordLogin(l, a, "ann", "not the password"); err == nil {
			t.Error("a wrong password was accepted")
		}
	})
	t.Run("sshd", func(t *testing.T) { testSSHD(t, l, a) })
	t.Run("delay", func(t *testing.T) {
		const rtt = 20 * time.Millisecond
		_, stop, err := a.Delay(rtt)
		must(t, err)
		defer stop()
		start := time.Now()
		if got := mustSSH(t, l, "a.delayed", "hostname"); got != "a" {
			t.Errorf("delayed: %q", got)
		}
		// Connecting, key exchange, authentication and the command cost six round trips or more.
		if took := time.Since(start); took < 6*rtt {
			t.Errorf("it took only %v", took)
		}
	})
	t.Run("slow", func(t *testing.T) {
		must(t, a.SlowDown(t.Context(), "10mbit"))
		qdisc := func() string { return inside(t, a, "tc", "qdisc", "show", "dev", "eth0") }
		if got := qdisc(); !strings.Contains(got, "rate 10Mbit") {
			t.Errorf("slowed down: %s", got)
		}
		if got := mustSSH(t, l, "a", "head -c 200000 /dev/zero | wc -c"); got != "200000" {
			t.Errorf("over a slow link: %s", got)
		}
		must(t, a.SlowDown(t.Context(), ""))
		must(t, a.SlowDown(t.Context(), ""))
		if got := qdisc(); strings.Contains(got, "tbf") {
			t.Errorf("back to full speed: %s", got)
		}
	})
	t.Run("disk", func(t *testing.T) {
		inside(t, a, "sh", "-c", "mkdir /srv/data && echo old >/srv/data/file")
		must(t, a.FillDisk(t.Context(), "/srv/data"))
		if _, err := a.Run(t.Context(), "sh", "-c", "echo new >/srv/data/new"); err == nil {
			t.Error("wrote to a full disk")
		}
		must(t, a.FreeDisk(t.Context(), "/srv/data"))
		if got := inside(t, a, "sh", "-c", "echo new >/srv/data/new; cd /srv/data; cat file new"); got != "old\nnew" {
			t.Errorf("after freeing: %q", got)
		}
		must(t, a.FillDisk(t.Context(), "/srv/data/"))
		must(t, a.FreeDisk(t.Context(), "/srv/data"))
	})
}

func testSSHD(t *testing.T, l *lab.Lab, a *lab.Host) {
	forward := func() error {
		_, err := ssh(t.Context(), l, "a", "-o", "ExitOnForwardFailure=yes", "-R", "/root/sock:127.0.0.1:1", "true")
		os.Remove(filepath.Join(a.Root(), "root/sock"))
		return err
	}
	must(t, forward())
	for range 6 { // often enough for systemd to object
		must(t, a.SSHD(t.Context(), "AllowStreamLocalForwarding no"))
	}
	if forward() == nil {
		t.Error("a Unix socket was forwarded against the configuration")
	}
	if err := a.SSHD(t.Context(), "NoSuchOption yes"); err == nil {
		t.Error("nonsense was accepted")
	}
	mustSSH(t, l, "a", "true")
	must(t, a.SSHD(t.Context()))
	must(t, forward())
	sftp := func() error {
		return exec.CommandContext(t.Context(), "ssh", "-F", l.SSHConfig(), "-s", "a", "sftp").Run()
	}
	must(t, sftp())
	must(t, a.SSHD(t.Context(), "Subsystem none /bin/false"))
	if sftp() == nil {
		t.Error("SFTP is served after its removal")
	}
	must(t, a.SSHD(t.Context()))
}
