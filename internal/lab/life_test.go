package lab_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"spore/internal/lab"
	"spore/internal/lab/labtest"
)

// traces lists what a lab of that name has on the machine.
func traces(t *testing.T, name, bridge string) []string {
	t.Helper()
	var out []string
	for _, path := range []string{
		"/run/spore-lab/" + name, "/var/lib/spore-lab/" + name, "/sys/class/net/" + bridge,
		"/run/netns/" + bridge + "-*", "/run/systemd/nspawn/propagate/" + bridge + "-*",
		"/sys/class/net/" + bridge + "v*", "/sys/fs/cgroup/*/spore-lab/" + bridge + "-*",
	} {
		found, err := filepath.Glob(path)
		must(t, err)
		out = append(out, found...)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	must(t, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "/spore-lab/"+name+"/") {
			out = append(out, line)
		}
	}
	cmdlines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, path := range cmdlines {
		if b, _ := os.ReadFile(path); strings.Contains(string(b), "--directory=/var/lib/spore-lab/"+name+"/") {
			out = append(out, string(b))
		}
	}
	return out
}

// bridgeOf tells a lab's bridge from its subnet.
func bridgeOf(l *lab.Lab) string {
	return "spore" + strings.Split(l.Hosts[0].Addr.String(), ".")[2]
}

func TestTwoLabs(t *testing.T) {
	one := labtest.For(t, 1, lab.Options{})
	two := labtest.For(t, 2, lab.Options{Light: true, Isolated: true})
	if one.Hosts[0].Addr == two.Hosts[0].Addr || one.Name == two.Name {
		t.Fatalf("labs share %s or %s", one.Name, one.Hosts[0].Addr)
	}
	mustSSH(t, one, "a", "true")
	for _, h := range two.Hosts {
		if got := mustSSH(t, two, h.Name, "hostname"); got != h.Name {
			t.Errorf("light host %s says it is %q", h.Name, got)
		}
	}
	if connects(t, two.Hosts[0], two.Hosts[1]) {
		t.Error("isolated hosts reach each other")
	}
	a := two.Hosts[0]
	inside(t, a, "sh", "-c", "echo kept >/root/mark")
	must(t, a.Reboot(t.Context()))
	must(t, a.SSHD(t.Context(), "AllowTcpForwarding no"))
	if got := mustSSH(t, two, "a", "cat /root/mark; /usr/sbin/sshd -T | grep -i ^allowtcp"); got != "kept\nallowtcpforwarding no" {
		t.Errorf("light host after a reboot: %q", got)
	}
	must(t, a.Crash(t.Context()))
	must(t, os.Remove(filepath.Join(a.Root(), "usr/sbin/sshd")))
	if err := a.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "/usr/sbin/sshd: not found") {
		t.Errorf("a host that does not come up gives an error without its console: %v", err)
	}
	name, bridge := two.Name, bridgeOf(two)
	must(t, two.Close())
	must(t, two.Close())
	if left := traces(t, name, bridge); len(left) > 0 {
		t.Errorf("a closed lab left %q", left)
	}
	mustSSH(t, one, "a", "true")
}

func TestSnapshot(t *testing.T) {
	for name, opts := range map[string]lab.Options{
		"full": {}, "logind": {Logind: true}, "light": {Light: true},
	} {
		t.Run(name, func(t *testing.T) { testSnapshot(t, opts) })
	}
}

func testSnapshot(t *testing.T, opts lab.Options) {
	l := labtest.For(t, 1, opts)
	h := l.Hosts[0]
	take := func() lab.Snapshot {
		s, err := h.Snapshot(t.Context())
		must(t, err)
		return s
	}
	before := take()
	mustSSH(t, l, "a", "touch /tmp/x /root/y; rm /tmp/x /root/y")
	if d := before.Diff(take()); len(d) > 0 {
		t.Errorf("a log-in leaves %q", d)
	}
	mustSSH(t, l, "a", `useradd eve; echo >/tmp/t; echo >/var/lib/v; rm /etc/issue; chmod 600 /etc/fstab
mkdir /run/r; mount -t tmpfs x /mnt; echo >/mnt/deep; setsid sleep 12345 >/dev/null 2>&1 </dev/null &
python3 -c 'import socket, time, os
s = socket.socket(); s.bind(("127.0.0.1", 2379)); s.listen()
u = socket.socket(socket.AF_UNIX); u.bind("/run/u"); u.listen()
os.fork() and os._exit(0)
os.setsid(); [os.close(i) for i in range(3)]; time.sleep(1000)'`)
	diff := before.Diff(take(), "/var/lib/v")
	for _, want := range []string{
		"+ process sleep 12345", "+ process python3", "+ socket tcp 127.0.0.1:2379", "+ socket unix /run/u",
		"+ user passwd eve", "+ user group eve", "+ file /tmp/t", "+ file /etc/issue deleted", "+ file /etc/fstab -rw-------",
		"+ file /run/r", "+ mount /mnt", "+ file /mnt/deep",
	} {
		if !slices.ContainsFunc(diff, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("not seen: %s", want)
		}
	}
	if slices.ContainsFunc(diff, func(line string) bool { return strings.Contains(line, "/var/lib/v ") }) {
		t.Error("what is to be ignored is shown")
	}
	if opts.Light {
		return
	}
	before = take()
	inside(t, h, "systemd-run", "--unit=spore-x", "sleep", "1000")
	if d := before.Diff(take()); !slices.ContainsFunc(d, func(line string) bool { return strings.HasPrefix(line, "+ unit spore-x.service") }) {
		t.Errorf("a new unit is not seen: %q", d)
	}
}

func TestContextEndsLab(t *testing.T) {
	probe := labtest.For(t, 1, lab.Options{Light: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l, err := lab.Up(ctx, 1, lab.Options{})
	must(t, err)
	cancel()
	eventually(t, "nothing left of the cancelled lab", func() bool { return len(traces(t, l.Name, bridgeOf(l))) == 0 })
	must(t, l.Close())
	mustSSH(t, probe, "a", "true")
	if _, err := lab.Up(t.Context(), 1, lab.Options{Name: probe.Name}); err == nil {
		t.Error("a name was taken twice")
	}
	mustSSH(t, probe, "a", "true")
}

// helperEnv makes TestMain be the process that is killed.
const helperEnv = "SPORE_LAB_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) == "" {
		os.Exit(m.Run())
	}
	l, err := lab.Up(context.Background(), 2, lab.Options{})
	if err != nil {
		os.Stdout.WriteString("failed " + err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString(l.Name + " " + bridgeOf(l) + "\n")
	select {}
}

func TestKilledRun(t *testing.T) {
	living := labtest.For(t, 1, lab.Options{Light: true})
	helper := exec.CommandContext(t.Context(), os.Args[0])
	helper.Env = append(os.Environ(), helperEnv+"=1")
	helper.Stderr = os.Stderr
	stdout, err := helper.StdoutPipe()
	must(t, err)
	must(t, helper.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	must(t, err)
	name, bridge, _ := strings.Cut(strings.TrimSpace(line), " ")
	if name == "failed" {
		t.Fatal(bridge)
	}
	if len(traces(t, name, bridge)) < 10 {
		t.Fatal("a lab is not seen by its traces")
	}
	must(t, helper.Process.Kill())
	helper.Wait()
	next := labtest.For(t, 1, lab.Options{Light: true})
	if left := traces(t, name, bridge); len(left) > 0 {
		t.Errorf("left of the killed run: %q", left)
	}
	mustSSH(t, living, "a", "true")
	mustSSH(t, next, "a", "true")
}
