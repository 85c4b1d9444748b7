package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	testConfig    = "/etc/ssh/sshd_config.d/00-test.conf"
	defaultConfig = "/etc/ssh/sshd_config.d/zz-sftp.conf"
	sftpLine      = "Subsystem sftp /usr/lib/openssh/sftp-server\n"
)

// SSHD restarts the host's sshd with these lines of sshd_config(5) ahead of its own, in place of
// those of an earlier call. Sessions that are open go on. A line that begins with "Subsystem
// sftp" replaces the usual one; "Subsystem none /bin/false" removes it.
func (h *Host) SSHD(ctx context.Context, lines ...string) error {
	sftp := sftpLine
	for _, line := range lines {
		if f := strings.Fields(strings.ToLower(line)); len(f) > 1 && f[0] == "subsystem" {
			sftp = ""
		}
	}
	conf := filepath.Join(h.Root(), testConfig)
	before, err := os.ReadFile(conf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("configure sshd of host %s: %w", h.Name, err)
	}
	if err := h.writeSSHD([]byte(strings.Join(lines, "\n")+"\n"), sftp); err != nil {
		return err
	}
	if _, err := h.Run(ctx, "/usr/sbin/sshd", "-t"); err != nil {
		return errors.Join(err, h.writeSSHD(before, sftpLine))
	}
	return h.restartSSHD(ctx)
}

func (h *Host) writeSSHD(test []byte, sftp string) error {
	for path, content := range map[string][]byte{testConfig: test, defaultConfig: []byte(sftp)} {
		if err := os.WriteFile(filepath.Join(h.Root(), path), content, 0o644); err != nil {
			return fmt.Errorf("configure sshd of host %s: %w", h.Name, err)
		}
	}
	return nil
}

func (h *Host) restartSSHD(ctx context.Context) error {
	// systemd refuses a unit that is restarted often, unless its past is forgotten.
	script := "systemctl reset-failed ssh && systemctl restart ssh"
	if h.lab.state.Light {
		script = `p=$(cat /run/sshd.pid) && kill $p && while [ -d /proc/$p ]; do sleep 0.01; done
rm -f /run/sshd.pid; /usr/sbin/sshd && while [ ! -s /run/sshd.pid ]; do sleep 0.01; done`
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := h.Run(ctx, "sh", "-c", script)
	return err
}

// AddUser makes a user with a home and bash, who logs in with the password or with the lab's key.
func (h *Host) AddUser(ctx context.Context, name, password string) error {
	if strings.ContainsAny(password, "\n") {
		return fmt.Errorf("add user %s: the password has a newline in it", name)
	}
	if _, err := h.Run(ctx, "useradd", "--create-home", "--shell", "/bin/bash", name); err != nil {
		return err
	}
	cmd, err := h.Command(ctx, "chpasswd")
	if err != nil {
		return err
	}
	cmd.Stdin = strings.NewReader(name + ":" + password + "\n")
	if _, err := output(cmd, "on host "+h.Name+": chpasswd"); err != nil {
		return err
	}
	public, err := os.ReadFile(h.lab.Key + ".pub")
	if err != nil {
		return err
	}
	cmd, err = h.Command(ctx, "install", "-D", "-o", name, "-g", name, "-m", "600", "/dev/stdin",
		"/home/"+name+"/.ssh/authorized_keys")
	if err != nil {
		return err
	}
	cmd.Stdin = bytes.NewReader(public)
	_, err = output(cmd, "on host "+h.Name+": authorise key")
	return err
}

// delayPort is not 22, which the machine's own sshd may hold on every address.
const delayPort = 2222

// delayAddr is the loopback address that stands for the host when it is far away.
func (h *Host) delayAddr() netip.Addr {
	a := h.Addr.As4()
	a[0] = 127
	return netip.AddrFrom4(a)
}

// Delay puts the host's sshd at a distance: the returned loopback address leads to it with a
// round trip of rtt. It is in known_hosts, and in ssh_config as NAME.delayed. One Delay per host
// at a time.
func (h *Host) Delay(rtt time.Duration) (addr string, stop func(), err error) {
	at := netip.AddrPortFrom(h.delayAddr(), delayPort)
	addr, stop, err = Delay(at.String(), netip.AddrPortFrom(h.Addr, 22).String(), rtt)
	if err != nil {
		return "", nil, fmt.Errorf("delay host %s: %w", h.Name, err)
	}
	return addr, stop, nil
}
