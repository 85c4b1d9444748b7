package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// populate makes the lab's keys and every host's disk with its identity on it.
func (l *Lab) populate(ctx context.Context, image string, logind bool) error {
	authorized, err := newUserKey(l.Key)
	if err != nil {
		return err
	}
	hash, err := hashPassword(ctx, image, l.state.Password)
	if err != nil {
		return err
	}
	known := make([]string, len(l.Hosts))
	err = each(ctx, len(l.Hosts), func(ctx context.Context, i int) error {
		h := l.Hosts[i]
		if err := h.makeDisk(image); err != nil {
			return err
		}
		if err := h.makeVolumes(ctx); err != nil {
			return err
		}
		keys, err := newHostKeys(filepath.Join(h.Root(), "etc/ssh"), "root@"+h.Name)
		if err != nil {
			return err
		}
		for _, key := range keys {
			known[i] += fmt.Sprintf("%s,%s,%s,[%s]:%d %s\n", h.Name, h.Addr, h.Addr6, h.delayAddr(), delayPort, key)
		}
		return h.personalise(authorized, hash, logind)
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.KnownHosts, []byte(strings.Join(known, "")), 0o600); err != nil {
		return err
	}
	return os.WriteFile(l.SSHConfig(), []byte(l.sshConfig()), 0o600)
}

func (l *Lab) sshConfig() string {
	var b strings.Builder
	for _, h := range l.Hosts {
		fmt.Fprintf(&b, "Host %s %s\n  HostName %s\n", h.Name, h.Addr, h.Addr)
		fmt.Fprintf(&b, "Host %s\n  HostName %s\n", h.Addr6, h.Addr6)
		fmt.Fprintf(&b, "Host %s.delayed\n  HostName %s\n  Port %d\n", h.Name, h.delayAddr(), delayPort)
	}
	// In OpenSSH's words the first value wins, so these stand for every host above.
	fmt.Fprintf(&b, "Host *\n  User root\n  IdentityFile %s\n  IdentitiesOnly yes\n", l.Key)
	fmt.Fprintf(&b, "  UserKnownHostsFile %s\n  GlobalKnownHostsFile /dev/null\n", l.KnownHosts)
	fmt.Fprintf(&b, "  StrictHostKeyChecking yes\n  UpdateHostKeys no\n")
	return b.String()
}

func (h *Host) makeDisk(image string) error {
	disk := h.lab.state.disk(h.Name)
	for _, dir := range []string{h.dir(), disk, filepath.Join(disk, "upper"), filepath.Join(disk, "work"), h.Root()} {
		// The root of the host must be open to the host's users.
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return mountOverlay(image, filepath.Join(disk, "upper"), filepath.Join(disk, "work"), h.Root())
}

// personalise writes what tells one host from another.
func (h *Host) personalise(authorized, passwordHash string, logind bool) error {
	var id [16]byte
	rand.Read(id[:])
	files := map[string]string{
		"etc/hostname":              h.Name + "\n",
		"etc/hosts":                 h.lab.etcHosts(),
		"etc/resolv.conf":           "# a lab has no name server\n",
		"etc/machine-id":            hex.EncodeToString(id[:]) + "\n",
		"root/.ssh/authorized_keys": authorized + "\n",
	}
	if logind {
		session, err := os.ReadFile(filepath.Join(h.Root(), "etc/pam.d/common-session"))
		if err != nil {
			return err
		}
		files["etc/pam.d/common-session"] = string(session) + "session optional pam_systemd.so\n"
		if err := os.Remove(filepath.Join(h.Root(), "etc/systemd/system/systemd-logind.service")); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(h.Root(), "root/.ssh"), 0o700); err != nil {
		return err
	}
	for path, content := range files {
		if err := os.WriteFile(filepath.Join(h.Root(), path), []byte(content), 0o644); err != nil {
			return err
		}
	}
	shadow := filepath.Join(h.Root(), "etc/shadow")
	b, err := os.ReadFile(shadow)
	if err != nil {
		return err
	}
	return os.WriteFile(shadow, []byte(setHash(string(b), "root", passwordHash)), 0o640)
}

func (l *Lab) etcHosts() string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost\n")
	for _, h := range l.Hosts {
		fmt.Fprintf(&b, "%s %s\n%s %s\n", h.Addr, h.Name, h.Addr6, h.Name)
	}
	return b.String()
}

// setHash replaces a user's password hash in the text of shadow(5).
func setHash(shadow, user, hash string) string {
	lines := strings.Split(shadow, "\n")
	for i, line := range lines {
		if f := strings.Split(line, ":"); len(f) > 2 && f[0] == user {
			f[1] = hash
			lines[i] = strings.Join(f, ":")
		}
	}
	return strings.Join(lines, "\n")
}

// hashPassword asks the image's own crypt(3), so that a host is sure to understand the answer.
func hashPassword(ctx context.Context, image, password string) (string, error) {
	const script = `chomp($p = <STDIN>); chomp($s = <STDIN>); print crypt($p, "\$6\$$s\$")`
	out, err := run(ctx, []byte(password+"\n"+rand.Text()[:16]+"\n"), "chroot", image, "perl", "-e", script)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	if !strings.HasPrefix(string(out), "$6$") {
		return "", fmt.Errorf("hash password: crypt gave no SHA-512 hash")
	}
	return string(out), nil
}

// raiseInotify makes room for the instances that each host's systemd takes; the limit is the
// machine's, shared by all that run as root, and is never lowered.
func raiseInotify(hosts int) error {
	const path = "/proc/sys/fs/inotify/max_user_instances"
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read inotify limit: %w", err)
	}
	have, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("read inotify limit: %w", err)
	}
	// Other labs draw on the same limit: ask for more than this one can use.
	want := 1024 + 32*hosts
	if have >= want {
		return nil
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(want)), 0o644); err != nil {
		return fmt.Errorf("raise inotify limit: %w", err)
	}
	return nil
}
