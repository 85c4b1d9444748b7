package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"spore/internal/lab"
	"spore/internal/lab/labtest"
	"spore/internal/view"
)

const (
	joesWord = "joe's word, of 3 parts" // what joe's password is on every host
	maryWord = "mary had a lamb"
	octets   = "deep \x00\xff\r\n\x04\x03 down" // what a terminal would not leave alone
)

// A way is how joe is to become another user on a host that is made so.
type way struct {
	name     string
	sudoers  string // lines of sudoers(5)
	make     string // a script
	sshd     []string
	flags    string // beside --become…
	password string // for --become-password-file; "" is none
	user     string // who owns what is made; "" is root
	twice    bool   // a second run finds the binary in its cache, and all as it should be
	refused  string // words of the error; "" for a host that works
}

var ways = []way{
	{name: "nobody else", flags: "", user: joe},
	{name: "no password", sudoers: "joe ALL=(ALL) NOPASSWD: ALL", flags: "--become", twice: true},
	{name: "password", sudoers: "joe ALL=(ALL) ALL", flags: "--become", password: joesWord, twice: true},
	{name: "lecture, noise and csh", sudoers: "Defaults lecture=always\njoe ALL=(ALL) ALL", flags: "--become", password: joesWord,
		make: `usermod -s /bin/tcsh joe && echo 'echo "Password: not yet"' >/home/joe/.cshrc && echo 'echo hello' >/root/.bashrc`},
	{name: "requiretty", sudoers: "Defaults requiretty\njoe ALL=(ALL) NOPASSWD: ALL", flags: "--become"},
	{name: "requiretty, password", sudoers: "Defaults requiretty\njoe ALL=(ALL) ALL", flags: "--become", password: joesWord, twice: true},
	{name: "use_pty", sudoers: "Defaults use_pty\njoe ALL=(ALL) NOPASSWD: ALL", flags: "--become"},
	{name: "use_pty, password", sudoers: "Defaults use_pty\njoe ALL=(ALL) ALL", flags: "--become", password: joesWord},
	{name: "use_pty, requiretty, password", sudoers: "Defaults use_pty,requiretty\njoe ALL=(ALL) ALL", flags: "--become", password: joesWord},
	{name: "requiretty, password, few sessions", sudoers: "Defaults requiretty\njoe ALL=(ALL) ALL", flags: "--become", password: joesWord,
		sshd: []string{"MaxSessions 2"}},
	{name: "another user", sudoers: "joe ALL=(mary) ALL", flags: "--become --become-user mary", password: joesWord, user: "mary", twice: true},
	{name: "no forwarding", sudoers: "joe ALL=(ALL) ALL", flags: "--become", password: joesWord, sshd: []string{"DisableForwarding yes"}},
	{name: "su", flags: "--become=su", password: "ROOT", twice: true},
	{name: "su, another user", flags: "--become=su --become-user mary", password: maryWord, user: "mary"},
	{name: "doas, no password", make: "echo permit nopass joe >/etc/doas.conf", flags: "--become=doas"},
	{name: "doas, password", make: "echo permit joe >/etc/doas.conf", flags: "--become=doas", password: joesWord},

	{name: "wrong", sudoers: "joe ALL=(ALL) ALL", flags: "--become", password: maryWord, refused: "become root by sudo on HOST: the password of joe was refused"},
	{name: "wrong, requiretty", sudoers: "Defaults requiretty\njoe ALL=(ALL) ALL", flags: "--become", password: maryWord, refused: "the password of joe was refused"},
	{name: "wrong, su", flags: "--become=su", password: maryWord, refused: "become root by su on HOST: the password of root was refused"},
	{name: "wrong, doas", make: "echo permit joe >/etc/doas.conf", flags: "--become=doas", password: maryWord, refused: "the password of joe was refused"},
	{name: "nobody to ask", sudoers: "joe ALL=(ALL) ALL", flags: "--become", refused: "a password is needed, and asking is off"},
	{name: "not in sudoers", flags: "--become", password: joesWord, refused: "joe is not in the sudoers file"},
	{name: "not for that user", sudoers: "joe ALL=(mary) NOPASSWD: ALL", flags: "--become", password: joesWord, refused: "is not allowed to execute '/bin/sh"},
	{name: "doas denies", make: "echo deny joe >/etc/doas.conf", flags: "--become=doas", password: joesWord, refused: "doas: Operation not permitted"},
	{name: "no terminal", sudoers: "Defaults requiretty\njoe ALL=(ALL) ALL", flags: "--become", password: joesWord,
		sshd: []string{"PermitTTY no"}, refused: "it demands a terminal, and the host gives none"},
	{name: "no such user", sudoers: "joe ALL=(ALL) NOPASSWD: ALL", flags: "--become --become-user nemo", refused: "unknown user"},
	{name: "hangs", make: `printf '#!/bin/sh\nexec sleep 100\n' >/usr/local/bin/sudo && chmod 755 /usr/local/bin/sudo`, flags: "--become",
		refused: "it neither began nor asked for a password within 10s"},
	{name: "no sudo", make: "rm /usr/bin/sudo", flags: "--become", refused: "there is no sudo"},
}

// TestBecome has joe become another user in each way, or be refused in words, and nothing left.
func TestBecome(t *testing.T) {
	g := enter(t)
	l := labtest.For(t, len(ways), lab.Options{Light: true, Isolated: true})
	t.Run("by", func(t *testing.T) {
		for i, w := range ways {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				s := &scene{T: t, ground: &ground{binary: g.binary, lab: l}, hosts: l.Hosts[i : i+1]}
				s.furnish()
				s.populate(l.Hosts[i], w.sudoers, w.make, w.sshd...)
				w.take(s, l.Hosts[i])
			})
		}
	})
}

// populate gives a host joe, who logs in, and mary.
func (s *scene) populate(h *lab.Host, sudoers, script string, sshd ...string) {
	s.Helper()
	for name, word := range map[string]string{joe: joesWord, "mary": maryWord} {
		if err := h.AddUser(s.Context(), name, word); err != nil {
			s.Fatal(err)
		}
	}
	file := filepath.Join(h.Root(), "etc/sudoers.d/joe")
	if err := os.WriteFile(file, []byte(sudoers+"\n"), 0o440); err != nil {
		s.Fatal(err)
	}
	s.on(h, "sh", "-ec", "chmod 1777 /srv; "+script)
	if len(sshd) > 0 {
		if err := h.SSHD(s.Context(), sshd...); err != nil {
			s.Fatal(err)
		}
	}
}

// owners allows what becoming somebody leaves by itself: sudo's memory of whom it has lectured, and
// the cache of whoever it was.
var owners = append([]string{"/var/lib/sudo", "/run/sudo", "/home/joe/.cache", "/home/mary/.cache", "/var/log/", "/run/faillock"}, kept...)

const aFile = `graph: became
remote: joe@%s
resources:
  file:
  - name: /srv/own
    content: "%s\n"
  - name: /srv/tree/
    source: tree
    recurse: true
  exec:
  - name: touch /srv/touched
    creates: /srv/touched
`

func (w way) take(s *scene, h *lab.Host) {
	before, err := h.Snapshot(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	s.save("tree/deep/file", octets)
	args := append(strings.Fields(w.flags), "--remote", s.save("g.yaml", fmt.Sprintf(aFile, h.Name, "hello")), "--converged-timeout", "0")
	if w.password != "" {
		word := strings.ReplaceAll(w.password, "ROOT", h.Password)
		args = append(args, "--become-password-file", s.save("password", word+"\n"))
	}
	for run := range 2 {
		p := s.start(args...)
		if w.refused != "" {
			r := state(s.T, p.wait(4), h.Name, view.StateUnreachable)
			if want := strings.ReplaceAll(w.refused, "HOST", h.Name); !strings.Contains(r.Error, want) {
				s.Errorf("refused with %q, want %q", r.Error, want)
			}
			w.silent(s, p)
			break
		}
		r := state(s.T, p.wait(0), h.Name, view.StateConverged)
		p.quiet()
		w.silent(s, p)
		if run == 1 && (r.Changed > 0 || r.Sent > 1<<20) {
			s.Errorf("second run: %+v, %d bytes sent", r.Counts, r.Sent)
		}
		w.made(s, h)
		if !w.twice {
			break
		}
	}
	s.nothingLeft(h, before)
}

// made checks what the graph has made, and by whom.
func (w way) made(s *scene, h *lab.Host) {
	s.Helper()
	user := w.user
	if user == "" {
		user = "root"
	}
	owners := strings.TrimSpace(s.on(h, "stat", "-c", "%U %a", "/srv/own", "/srv/touched"))
	if want := user + " 644\n" + user + " 644"; owners != want {
		s.Errorf("made were %q, want %q", owners, want)
	}
	if got := read(h, "/srv/tree/deep/file"); got != octets {
		s.Errorf("the tree holds %q", got)
	}
}

// silent checks that no password was shown.
func (w way) silent(s *scene, p *process) {
	s.Helper()
	for _, word := range []string{joesWord, maryWord} {
		if strings.Contains(p.transcript(), word) {
			s.Errorf("a password is shown")
		}
	}
}

// nothingLeft waits until a host is what it was.
func (s *scene) nothingLeft(h *lab.Host, before lab.Snapshot) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	var left []string
	err := until(ctx, func() (bool, error) {
		after, err := h.Snapshot(ctx)
		if err != nil {
			return false, err
		}
		left = before.Diff(after, owners...)
		return len(left) == 0, nil
	})
	if err != nil {
		s.Errorf("left on the host (%v):\n%s", err, strings.Join(left, "\n"))
	}
}

// TestBecomeLasts loses connections under an agent of another user's: the same one is found again,
// edits arrive, nobody sees a password, and in the end it goes, even if it does not listen.
func TestBecomeLasts(t *testing.T) {
	g := enter(t)
	rules := []string{
		"joe ALL=(ALL) ALL",
		"Defaults use_pty,requiretty\njoe ALL=(ALL) ALL",
	}
	l := labtest.For(t, len(rules), lab.Options{Light: true, Isolated: true})
	t.Run("under", func(t *testing.T) {
		for i, rule := range rules {
			t.Run(strings.ReplaceAll(rule, "\n", ", "), func(t *testing.T) {
				t.Parallel()
				s := &scene{T: t, ground: &ground{binary: g.binary, lab: l}, hosts: l.Hosts[i : i+1]}
				s.furnish()
				s.populate(l.Hosts[i], rule, "")
				s.lasts(l.Hosts[i])
			})
		}
	})
}

func (s *scene) lasts(h *lab.Host) {
	before, err := h.Snapshot(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	s.save("tree/deep/file", "deep")
	graph := func(words string) string { return s.save("g.yaml", fmt.Sprintf(aFile, h.Name, words)) }
	p := s.start("--become", "--become-password-file", s.save("password", joesWord+"\n"), "--remote", graph("hello"))
	p.converged()
	agents := s.agents(h)
	if len(agents) != 1 {
		s.Fatalf("agents %q, want one", agents)
	}
	for range 2 {
		s.on(h, "pkill", "-9", "-f", "^sshd: joe")
		p.says(h.Name, "found the same agent again")
	}
	if all := s.on(h, "sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; true"); strings.Contains(all, joesWord) {
		s.Error("the password is in somebody's arguments or environment")
	}
	s.save("tree/deep/file", "deeper")
	graph("goodbye")
	s.holds(h, "/srv/own", "goodbye")
	s.holds(h, "/srv/tree/deep/file", "deeper")
	if now := s.agents(h); strings.Join(now, " ") != strings.Join(agents, " ") {
		s.Errorf("agents %q became %q", agents, now)
	}
	s.on(h, "kill", "-STOP", agents[0])
	p.stop()
	s.nothingLeft(h, before)
}

// TestBecomeAsks asks on the terminal, once for two hosts.
func TestBecomeAsks(t *testing.T) {
	g := enter(t)
	l := labtest.For(t, 2, lab.Options{Light: true, Isolated: true})
	s := &scene{T: t, ground: &ground{binary: g.binary, lab: l}, hosts: l.Hosts}
	s.furnish()
	s.save("tree/deep/file", octets)
	args := []string{"run", "--become", "-F", l.SSHConfig(), "--converged-timeout", "0"}
	for _, h := range l.Hosts {
		s.populate(h, "joe ALL=(ALL) ALL", "")
		args = append(args, "--remote", s.save(h.Name+".yaml", fmt.Sprintf(aFile, h.Name, "hello")))
	}
	person, program := openTerminal(t)
	cmd := s.command(args...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	program.Close()
	shown := readTerminal(person, ": sudo password for joe: ", joesWord+"\n")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	text := <-shown
	if n := strings.Count(text, "password"); n != 1 || strings.Contains(text+out.String(), joesWord) {
		t.Errorf("on the terminal is %q, and elsewhere\n%s", text, &out)
	}
	for _, h := range l.Hosts {
		way{}.made(s, h)
	}
}

// openTerminal returns the side of a person who sits at a terminal, and that of a program.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return person, program
}

// readTerminal types the answer whenever the question is asked, and tells what was shown once
// nobody has the terminal any more.
func readTerminal(person *os.File, question, answer string) <-chan string {
	shown := make(chan string, 1)
	go func() {
		var all strings.Builder
		buf := make([]byte, 1024)
		for {
			n, err := person.Read(buf)
			all.Write(buf[:n])
			if n > 0 && strings.HasSuffix(all.String(), question) {
				_, _ = person.WriteString(answer)
			}
			if err != nil {
				shown <- all.String()
				return
			}
		}
	}()
	return shown
}
