package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spore/internal/lab"
	"spore/internal/view"
)

// config saves an ssh_config that knows where the scene's hosts are, and nothing else but lines.
func (s *scene) config(lines ...string) string {
	s.Helper()
	var b strings.Builder
	for _, h := range s.hosts {
		fmt.Fprintf(&b, "Host %s\n  HostName %s\n", h.Name, h.Addr)
	}
	b.WriteString("Host *\n  User root\n  GlobalKnownHostsFile /dev/null\n")
	for _, l := range lines {
		b.WriteString("  " + l + "\n")
	}
	return s.save("ssh_config", b.String())
}

func (s *scene) key() string   { return "IdentityFile " + s.lab.Key }
func (s *scene) known() string { return "UserKnownHostsFile " + s.lab.KnownHosts }

// others checks that the host whose graph is good has converged, and the other has failed for the reason.
func (s *scene) others(recaps map[string]view.Recap, bad, good *lab.Host, reason ...string) {
	s.Helper()
	state(s.T, recaps, good.Name, view.StateConverged)
	r := state(s.T, recaps, bad.Name, view.StateUnreachable)
	for _, words := range reason {
		if !strings.Contains(r.Error, words) {
			s.Errorf("host %s: %q does not tell of %q", bad.Name, r.Error, words)
		}
	}
	if got, want := read(good, "/srv/own"), good.Name+" alone: hello\n"; got != want {
		s.Errorf("host %s: /srv/own holds %q, want %q", good.Name, got, want)
	}
}

// TestPassword logs in with the password of the URL, which nobody sees.
func TestPassword(t *testing.T) {
	s := play(t, 2)
	a, b := s.hosts[0], s.hosts[1]
	conf := s.config(s.known(), "IdentityFile none")
	url := func(h *lab.Host, password string) string { return "ssh://root:" + password + "@" + h.Name }
	good := s.save("a.yaml", graph(url(a, a.Password), a.Name, "hello"))
	wrong := s.save("b.yaml", graph(url(b, "not-the-password"), b.Name, "hello"))
	p := s.start("-F", conf, "--remote", good, "--remote", wrong, "--converged-timeout", "0")
	s.others(p.wait(4), b, a, "log in to", "password")
	p.says("", "the password of root@"+a.Name+" stands in its address")
	for _, secret := range []string{a.Password, "not-the-password"} {
		if strings.Contains(p.transcript(), secret) {
			t.Errorf("a password is shown")
		}
	}
}

// TestPrompt has a host that would need a prompt fail, and nobody wait for it.
func TestPrompt(t *testing.T) {
	s := play(t, 2)
	a, b := s.hosts[0], s.hosts[1]
	conf := s.config(s.known(), "IdentityFile none")
	good := s.save("a.yaml", graph("ssh://root:"+a.Password+"@"+a.Name, a.Name, "hello"))
	p := s.start("-F", conf, "--remote", good, "--remote", s.save("b.yaml", graph(b.Name, b.Name, "hello")), "--converged-timeout", "0")
	s.others(p.wait(4), b, a, "log in to")
}

// TestHostKeys meets a host whose key is unknown, accepts it, and later finds another in its place.
func TestHostKeys(t *testing.T) {
	s := play(t, 2)
	a, b := s.hosts[0], s.hosts[1]
	known := filepath.Join(s.graphs, "known_hosts")
	lines, err := os.ReadFile(s.lab.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	var ofA, ofB []string
	for line := range strings.Lines(string(lines)) {
		names, _, _ := strings.Cut(line, " ")
		for _, n := range strings.Split(names, ",") {
			switch n {
			case a.Name, a.Addr.String():
				ofA = append(ofA, line)
			case b.Name, b.Addr.String():
				ofB = append(ofB, line)
			}
		}
	}
	if len(ofA) == 0 || len(ofB) == 0 {
		t.Fatalf("the lab's known_hosts does not name %s and %s:\n%s", a.Name, b.Name, lines)
	}
	s.save("known_hosts", strings.Join(ofA, ""))
	args := append(s.pair("hello"), "-F", s.config(s.key(), "UserKnownHostsFile "+known), "--converged-timeout", "0")

	p := s.start(args...)
	s.others(p.wait(4), b, a, "host key", "SHA256:")
	if text, _ := os.ReadFile(known); string(text) != strings.Join(ofA, "") {
		t.Errorf("the unknown key was remembered:\n%s", text)
	}
	if agents := s.on(b, "sh", "-c", "ls /var/lib/spore/run-* 2>/dev/null || true"); agents != "" {
		t.Errorf("a host that is not known was touched")
	}
	s.start(append(args, "--accept-new-host-keys")...).wait(0)
	s.exchanged("hello")
	s.start(args...).wait(0) // it is remembered

	var forged strings.Builder
	for _, line := range ofA { // b's name, and a's key
		_, key, _ := strings.Cut(line, " ")
		forged.WriteString(b.Name + "," + b.Addr.String() + " " + key)
	}
	s.save("known_hosts", strings.Join(ofA, "")+forged.String())
	for _, more := range [][]string{nil, {"--accept-new-host-keys"}} {
		p := s.start(append(args, more...)...)
		s.others(p.wait(4), b, a, "changed", known+":")
	}
}

// TestDeadHost has a host that does not answer.
func TestDeadHost(t *testing.T) {
	s := play(t, 2)
	a, b := s.hosts[0], s.hosts[1]
	s.cut(b)
	p := s.start(append(s.pair("hello"), "--connect-timeout", "2s", "--converged-timeout", "0")...)
	s.others(p.wait(4), b, a, "connect")
	s.heal(b)
}

// TestSecrets looks at what every process shows to everybody, on both sides.
func TestSecrets(t *testing.T) {
	s := play(t, 1)
	h := s.hosts[0]
	p := s.start("-F", s.config(s.known(), "IdentityFile none"),
		"--remote", s.save("a.yaml", graph("ssh://root:"+h.Password+"@"+h.Name, h.Name, "hello")))
	p.converged()
	const show = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'"
	text := s.on(h, "sh", "-c", show)
	for _, of := range []string{"cmdline", "environ"} {
		own, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, of))
		if err != nil {
			t.Fatal(err)
		}
		text += string(own)
	}
	if !strings.Contains(text, "--hostname") {
		t.Fatalf("the agent is not seen in:\n%s", text)
	}
	for _, secret := range []string{h.Password, "PRIVATE KEY", "BEGIN CERTIFICATE"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is seen in argv or environment", secret)
		}
	}
	open := s.on(h, "sh", "-c", `find /var/lib/spore/run-* \( -perm /077 -o ! -user root \) ! -type l`)
	if open != "" {
		t.Errorf("open to others: %s", open)
	}
	if pem := s.on(h, "sh", "-c", "grep -rlsI 'PRIVATE KEY' /var/lib/spore /tmp /run/spore* || true"); pem != "" {
		t.Errorf("a key lies in %s", pem)
	}
	p.stop()
}
