package lab

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestDiff(t *testing.T) {
	before := Snapshot{
		Processes: map[string]string{"/usr/sbin/sshd -D": "×1", "agent": "×1", "gone": "×1"},
		Sockets:   map[string]string{"tcp 0.0.0.0:22": "listening"},
		Files:     map[string]string{"/etc/passwd": "-rw-r--r-- 0:0 10 bytes"},
		Users:     map[string]string{"passwd root": "x:0:0"},
		Units:     map[string]string{"ssh.service": "active"},
	}
	after := Snapshot{
		Processes: map[string]string{"/usr/sbin/sshd -D": "×1", "agent": "×2", "sshd: root@notty": "×1"},
		Sockets:   map[string]string{"tcp 0.0.0.0:22": "listening", "tcp 127.0.0.1:2379": "listening"},
		Files: map[string]string{
			"/etc/passwd": "-rw-r--r-- 0:0 12 bytes", "/run/utmp": "-", "/run/user": "d", "/run/users": "d",
			"/run/log/journal/x/system.journal": "-", "/root/.cache/spore/bin": "-",
		},
		Mounts: map[string]string{"/run/user/0": "tmpfs", "/mnt": "tmpfs"},
		Users:  map[string]string{"passwd root": "x:0:0"},
		Units:  map[string]string{"ssh.service": "failed", "session-4.scope": "active", "spore.service": "active"},
	}
	want := []string{
		"~ process agent ×1 -> ×2",
		"- process gone ×1",
		"+ socket tcp 127.0.0.1:2379 listening",
		"+ mount /mnt tmpfs",
		"+ unit spore.service active",
		"~ unit ssh.service active -> failed",
		"~ file /etc/passwd -rw-r--r-- 0:0 10 bytes -> -rw-r--r-- 0:0 12 bytes",
		"+ file /run/users d",
	}
	got := before.Diff(after, "/root/.cache/spore/")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if d := after.Diff(after); len(d) != 0 {
		t.Errorf("a snapshot differs from itself: %q", d)
	}
}

func TestReadSockets(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"tcp": "  sl  local_address rem_address   st\n" +
			"   0: 0100007F:0016 00000000:0000 0A 0 0\n" +
			"   1: 0200D50A:0016 0100D50A:C3F2 01 0 0\n",
		"tcp6": "   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0 0\n" +
			"   1: 6F7073730000000000000000000000FF:zz x 0A\n",
		"udp": "   0: 00000000:0044 00000000:0000 07 0 0\n",
		"unix": "Num       RefCount Protocol Flags    Type St Inode Path\n" +
			"0: 00000002 00000000 00010000 0001 01 1 /run/a socket\n" +
			"0: 00000002 00000000 00010000 0001 01 1 @abstract\n" +
			"0: 00000002 00000000 00000000 0002 01 1 /run/datagram\n" +
			"0: 00000003 00000000 00000000 0001 03 1 /run/connected\n" +
			"0: 00000003 00000000 00000000 0001 03 1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readSockets(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range got {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"tcp 127.0.0.1:22", "tcp6 [::]:22", "udp 0.0.0.0:68", "unix /run/a socket", "unix /run/datagram", "unix @abstract"}
	if !slices.Equal(names, want) {
		t.Errorf("got  %q\nwant %q", names, want)
	}
}

func TestSetHash(t *testing.T) {
	const shadow = "root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n"
	want := "root:$6$x:19000:0:99999:7:::\nsshd:!:19000::::::\n"
	if got := setHash(shadow, "root", "$6$x"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseCgroups(t *testing.T) {
	hybrid := "9:name=systemd:/\n8:pids:/\n4:memory:/box/1\n0::/\n"
	mounts := "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n" +
		"cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0\n" +
		"cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
	want := []string{"/sys/fs/cgroup/systemd/spore-lab", "/sys/fs/cgroup/unified/spore-lab"}
	if got := parseCgroups(hybrid, mounts); !slices.Equal(got, want) {
		t.Errorf("hybrid: got %q, want %q", got, want)
	}
	got := parseCgroups("0::/user.slice/session-2.scope\n", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
	if want := []string{"/sys/fs/cgroup/user.slice/session-2.scope/spore-lab"}; !slices.Equal(got, want) {
		t.Errorf("unified: got %q, want %q", got, want)
	}
}

func TestParseUnits(t *testing.T) {
	got := parseUnits("ssh.service loaded active running OpenBSD Secure Shell server\nx.service loaded failed failed X\n\n")
	if len(got) != 2 || got["ssh.service"] != "active" || got["x.service"] != "failed" {
		t.Errorf("got %v", got)
	}
}
