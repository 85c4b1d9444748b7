package e2e

import (
	"fmt"
	"strings"
	"testing"

	"spore/internal/lab"
	"spore/internal/lab/labtest"
	"spore/internal/view"
)

// An oddity is a host that is not as one would wish.
type oddity struct {
	name  string
	user  string   // who logs in; "" is root
	make  string   // a script that makes it so, with the paths and shell it still has
	sshd  []string // lines of sshd_config
	place string   // where things lie there, if it matters
	again bool     // a second run finds the binary in its cache
	// refused are words of the error, for a host that is refused; "" for one that works.
	refused string
}

const (
	joe      = "joe"
	noHashes = "for t in b2sum sha256sum shasum openssl sha256; do rm -f /usr/bin/$t; done"
	// busybox leaves no program of Debian's that busybox has as well, nor another shell.
	busybox = `usermod -s /bin/sh root; rm /bin/bash
for p in $(busybox --list); do
	case $p in su|login|passwd|ip|pgrep|pkill|busybox) continue ;; esac
	f=$(command -v $p) && [ -f "$f" ] && doomed="$doomed $f"
done
for f in $doomed /bin/sh; do busybox ln -sf /bin/busybox $f; done
for f in b2sum openssl flock; do busybox rm -f /usr/bin/$f; done`
)

var oddities = []oddity{
	{name: "plain", place: "/var/lib/spore/", again: true},
	{name: "plain user", user: joe, place: "/home/joe/.cache/spore/", again: true},
	{name: "noexec tmp", make: "mount -o remount,noexec /tmp"},
	{name: "noexec home", user: joe, place: "/var/tmp/spore-",
		make: "mount --bind /home/joe /home/joe && mount -o remount,bind,noexec /home/joe"},
	{name: "no home", user: joe, place: "/var/tmp/spore-", sshd: []string{"AuthorizedKeysFile /etc/ssh/keys-%u"},
		make: "mv /home/joe/.ssh/authorized_keys /etc/ssh/keys-joe && rm -rf /home/joe"},
	{name: "home not writable", user: joe, place: "/var/tmp/spore-", make: "chown root /home/joe"},
	{name: "read-only root", place: "/run/spore/", make: "mount -t tmpfs srv /srv && mount --bind / / && mount -o remount,bind,ro /"},
	{name: "nowhere to write", refused: "no usable directory: /var/lib/spore: ",
		make: "for d in / /run /tmp /dev/shm; do mount --bind $d $d && mount -o remount,bind,ro $d; done"},
	{name: "nowhere to execute", user: joe, refused: "noexec",
		make: `for d in /home /var/tmp /tmp /dev/shm; do mount --bind $d $d; mount -o remount,bind,noexec $d; done`},
	{name: "no SFTP", sshd: []string{"Subsystem none /bin/false"}, again: true},
	{name: "broken SFTP", sshd: []string{"Subsystem sftp /nonexistent"}},
	{name: "no TCP forwarding", sshd: []string{"AllowTcpForwarding no"}},
	{name: "no socket forwarding", sshd: []string{"AllowStreamLocalForwarding no"}},
	{name: "no forwarding", sshd: []string{"AllowTcpForwarding no", "AllowStreamLocalForwarding no"}},
	{name: "forwarding disabled", sshd: []string{"DisableForwarding yes"}},
	{name: "one session", sshd: []string{"MaxSessions 1"}},
	{name: "one session, no SFTP", sshd: []string{"MaxSessions 1", "Subsystem none /bin/false"}},
	{name: "one session, no forwarding, no SFTP", sshd: []string{"MaxSessions 1", "AllowTcpForwarding no", "Subsystem none /bin/false"}},
	{name: "no session", sshd: []string{"MaxSessions 0"}, refused: "MaxSessions"},
	{name: "SFTP only", sshd: []string{"ForceCommand internal-sftp"}, refused: "POSIX /bin/sh"},
	{name: "no login", user: joe, make: "usermod -s /usr/sbin/nologin joe", refused: "POSIX /bin/sh"},
	{name: "chatty bashrc", make: `printf 'echo "Welcome to $(hostname)"; echo >&2 mind the step; printf "no newline"\n' >/root/.bashrc`},
	{name: "banner", sshd: []string{"Banner /etc/motd"}, make: "echo Trespassers will be shot. >/etc/motd"},
	{name: "csh", make: "usermod -s /bin/tcsh root && echo 'echo hello from csh' >/root/.cshrc", again: true},
	{name: "busybox", make: busybox, again: true},
	{name: "busybox, no SFTP", make: busybox, sshd: []string{"Subsystem none /bin/false"}},
	{name: "nothing to hash with", make: noHashes, again: true},
	{name: "nothing to hash with, no SFTP", make: noHashes, sshd: []string{"Subsystem none /bin/false"}, again: true},
	{name: "nothing to unpack with", make: "rm -f /bin/gzip /usr/bin/gzip"},
	{name: "full disk", make: "mount -t tmpfs -o size=1m full /var/lib && ! dd if=/dev/zero of=/var/lib/full bs=64k 2>/dev/null", place: "/run/spore/"},
	{name: "almost full disk", make: "mount -t tmpfs -o size=8m full /var/lib", refused: "the disk is full"},
	{name: "no PATH", sshd: []string{"SetEnv PATH="}},
	{name: "another CPU", refused: "spore-linux-arm64",
		make: `printf '#!/bin/sh\ncase $1 in -m) echo aarch64 ;; *) echo Linux ;; esac\n' >/usr/local/bin/uname && chmod 755 /usr/local/bin/uname`},
}

// TestHostile goes to hosts that are odd in one way each: each works, or is refused by name before
// anything is copied; and either way nothing is left.
func TestHostile(t *testing.T) {
	g := enter(t)
	l := labtest.For(t, len(oddities), lab.Options{Light: true, Isolated: true})
	t.Run("odd", func(t *testing.T) {
		for i, o := range oddities {
			t.Run(o.name, func(t *testing.T) {
				t.Parallel()
				s := &scene{T: t, ground: &ground{binary: g.binary, lab: l}, hosts: l.Hosts[i : i+1]}
				s.furnish()
				o.meet(s, s.hosts[0])
			})
		}
	})
}

func (o oddity) meet(s *scene, h *lab.Host) {
	o.prepare(s, h)
	before, err := h.Snapshot(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	address := h.Name
	if o.user != "" {
		address = o.user + "@" + h.Name
	}
	s.save("tree/deep/file", "deep down")
	file := s.save("odd.yaml", fmt.Sprintf(oddGraph, address))
	for run := 0; run == 0 || o.again && run == 1; run++ {
		p := s.start("--remote", file, "--converged-timeout", "0")
		if o.refused != "" {
			o.turnedDown(s, p, h)
			break
		}
		r := state(s.T, p.wait(0), h.Name, view.StateConverged)
		if cached := r.Sent < 1<<20; cached != (run == 1) {
			s.Errorf("run %d: %d bytes sent", run, r.Sent)
		}
		o.worked(s, p, h)
	}
	after, err := h.Snapshot(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	allowed := kept
	if o.refused == "" {
		allowed = append([]string{o.place + "cache/", strings.TrimSuffix(o.place, "/"), "/home/joe/.cache$"}, kept...)
	}
	if left := before.Diff(after, allowed...); len(left) > 0 {
		s.Errorf("left on the host:\n%s", strings.Join(left, "\n"))
	}
}

// oddGraph has files that travel along with it, and a command.
const oddGraph = `graph: odd
remote: %s
resources:
  file:
  - name: /srv/own
    content: "hello\n"
  - name: /srv/tree/
    source: tree
    recurse: true
  exec:
  - name: touch /srv/touched
    creates: /srv/touched
`

func (o oddity) prepare(s *scene, h *lab.Host) {
	s.Helper()
	if o.user != "" {
		if err := h.AddUser(s.Context(), o.user, "secret"); err != nil {
			s.Fatal(err)
		}
	}
	s.on(h, "chmod", "1777", "/srv")
	if len(o.sshd) > 0 {
		if err := h.SSHD(s.Context(), o.sshd...); err != nil {
			s.Fatal(err)
		}
	}
	if o.make != "" {
		s.on(h, "sh", "-ec", o.make)
	}
}

func (o oddity) worked(s *scene, p *process, h *lab.Host) {
	s.Helper()
	p.quiet()
	if got := s.on(h, "cat", "/srv/own", "/srv/tree/deep/file", "/srv/touched"); got != "hello\ndeep down" {
		s.Errorf("the host has %q", got)
	}
	if o.place != "" && !strings.Contains(s.on(h, "find", "/home", "/run", "/var", "/tmp", "-name", "spore", "-type", "f"), o.place) {
		s.Errorf("the binary does not lie below %s", o.place)
	}
}

func (o oddity) turnedDown(s *scene, p *process, h *lab.Host) {
	s.Helper()
	r := state(s.T, p.wait(4), h.Name, view.StateUnreachable)
	if !strings.Contains(r.Error, o.refused) {
		s.Errorf("refused with %q, want %q", r.Error, o.refused)
	}
	if r.Sent > 1<<10 { // the graph goes there at the same time
		s.Errorf("%d bytes were sent all the same", r.Sent)
	}
}
