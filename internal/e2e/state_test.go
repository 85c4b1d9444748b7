package e2e

import (
	"fmt"
	"strings"
	"testing"

	"spore/internal/view"
)

// TestFailure has a resource fail: it fails alone, what depends on it is skipped, the recap tells why.
func TestFailure(t *testing.T) {
	s := play(t, 2)
	a, b := s.hosts[0], s.hosts[1]
	args := s.pair("hello")
	s.save(b.Name+".yaml", strings.Replace(graph(b.Name, b.Name, "hello"), "resources:\n", `resources:
  exec:
  - name: broken
    shell: /bin/sh
    cmd: echo the very reason >&2; exit 3
  print:
  - name: after
    msg: this is not reached
    require: exec/broken
`, 1))
	p := s.start(append(args, "--converged-timeout", "0")...)
	p.fails(b.Name, "exec/broken")
	recaps := p.wait(2)
	state(t, recaps, a.Name, view.StateConverged)
	r := state(t, recaps, b.Name, view.StateFailed)
	if r.OK != 3 || r.Failed != 1 || r.Skipped != 1 {
		t.Errorf("recap %+v, want 3 ok, 1 failed, 1 skipped", r.Counts)
	}
	for _, words := range []string{"exec/broken", "status 3"} {
		if !strings.Contains(r.Error, words) {
			t.Errorf("%q does not tell of %q", r.Error, words)
		}
	}
	if !strings.Contains(p.transcript(), "the very reason") {
		t.Errorf("what the command said is not shown")
	}
	s.exchanged("hello")
}

// TestDrift has somebody else change what is kept, in every way.
func TestDrift(t *testing.T) {
	s := play(t, 2)
	p := s.start(s.pair("hello")...)
	p.converged()
	h := s.hosts[0]
	for _, foreign := range []string{
		"echo drift >/srv/own", "rm /srv/own", "mv /srv/own /srv/elsewhere && echo other >/srv/own; rm -f /srv/elsewhere",
		"rm /srv/shared-" + s.hosts[1].Name, "rm /srv/*", ": >/srv/shared-" + h.Name,
	} {
		s.on(h, "sh", "-c", foreign)
		s.await(foreign+" is repaired", func() bool {
			return read(h, "/srv/own") == h.Name+" alone: hello\n" &&
				read(h, "/srv/shared-"+s.hosts[0].Name) != "" && read(h, "/srv/shared-"+s.hosts[1].Name) != ""
		})
	}
	recaps := p.stop()
	for _, h := range s.hosts {
		state(t, recaps, h.Name, view.StateConverged)
	}
	p.quiet()
}

// TestNoop changes nothing and shows what would change.
func TestNoop(t *testing.T) {
	s := play(t, 2)
	h := s.hosts[0]
	s.write(h, "/srv/own", "what was there\n")
	p := s.start(append(s.pair("hello"), "--noop", "--converged-timeout", "0")...)
	differs := p.await("a difference", func(r view.Record) bool {
		return r.Host == h.Name && r.Event != nil && r.Event.Resource.Name == "/srv/own"
	})
	p.wait(0)
	if got := s.on(h, "sh", "-c", "ls /srv; cat /srv/own"); got != "own\nwhat was there\n" {
		t.Errorf("host %s was changed: %q", h.Name, got)
	}
	if got := s.on(s.hosts[1], "ls", "/srv"); got != "" {
		t.Errorf("host %s was changed: %q", s.hosts[1].Name, got)
	}
	if len(differs.Event.Changes) == 0 || !strings.Contains(differs.Event.Changes[0].Diff, "-what was there\n+"+h.Name+" alone: hello\n") {
		t.Errorf("the difference is not shown: %+v", differs.Event.Changes)
	}
}

// TestNoCaching leaves not even the binary.
func TestNoCaching(t *testing.T) {
	s := play(t, 1)
	h := s.hosts[0]
	s.on(h, "rm", "-rf", "/var/lib/spore")
	file := s.save("a.yaml", graph(h.Name, h.Name, "hello"))
	s.start("--remote", file, "--no-caching", "--converged-timeout", "0").wait(0)
	if left := s.on(h, "sh", "-c", "ls -d /var/lib/spore 2>/dev/null || true"); left != "" {
		t.Errorf("left: %s", left)
	}
	if got := read(h, "/srv/own"); got != h.Name+" alone: hello\n" {
		t.Errorf("/srv/own holds %q", got)
	}
}

// TestPrefixes puts everything where the flags say.
func TestPrefixes(t *testing.T) {
	s := play(t, 1)
	h := s.hosts[0]
	file := s.save("a.yaml", graph(h.Name, h.Name, "hello"))
	p := s.start("--remote", file, "--prefix", "/srv/cache-of-%h", "--tmp-prefix", "/run/elsewhere")
	p.converged()
	if got := s.on(h, "sh", "-c", "ls -d /run/elsewhere/run-*/agent.sock /srv/cache-of-"+h.Name+"/cache/*/spore | wc -l"); got != "2\n" {
		t.Errorf("the run directory or the cache is elsewhere:\n%s", s.on(h, "find", "/srv", "/run/elsewhere"))
	}
	p.stop()
	p.quiet()
}

// TestList brings one graph to several hosts.
func TestList(t *testing.T) {
	s := play(t, 2)
	text := fmt.Sprintf(`graph: list
remote:
- %s
- %s
resources:
  file:
  - name: /srv/own
    content: the same on each
`, s.hosts[0].Name, s.hosts[1].Name)
	p := s.start("--remote", s.save("list.yaml", text))
	p.converged()
	for _, h := range s.hosts {
		if got := read(h, "/srv/own"); got != "the same on each" {
			t.Errorf("host %s: %q", h.Name, got)
		}
	}
	s.save("list.yaml", strings.Replace(text, "the same", "another", 1))
	for _, h := range s.hosts {
		s.holds(h, "/srv/own", "another on each")
	}
	p.converged()
	recaps := p.stop()
	for _, h := range s.hosts {
		state(t, recaps, h.Name, view.StateConverged)
	}
	p.quiet()
}

// TestIsolated shows that the hosts of all these tests cannot reach each other, and exchange all the same.
func TestIsolated(t *testing.T) {
	s := play(t, 2)
	a, b := s.hosts[0], s.hosts[1]
	try := fmt.Sprintf("timeout 3 bash -c 'exec 3<>/dev/tcp/%s/22' 2>/dev/null && echo reached || echo not reached", b.Addr)
	if got := s.on(a, "sh", "-c", try); got != "not reached\n" {
		t.Fatalf("host %s has %s host %s", a.Name, strings.TrimSpace(got), b.Name)
	}
	s.start(append(s.pair("hello"), "--converged-timeout", "0")...).wait(0)
	s.exchanged("hello")
}

// TestUser works as somebody who is not root, with a home of the user's own for the cache.
func TestUser(t *testing.T) {
	s := play(t, 1, "/etc/", "/home", "/var/mail", "/var/spool/mail")
	h := s.hosts[0]
	if err := h.AddUser(t.Context(), "robin", "a password"); err != nil {
		t.Fatal(err)
	}
	file := s.save("user.yaml", fmt.Sprintf(`graph: user
remote: robin@%s
resources:
  file:
  - name: /home/robin/own
    content: mine
  - name: /srv/not-allowed
    content: not mine
`, h.Name))
	p := s.start("--remote", file, "--converged-timeout", "0")
	p.fails(h.Name, "file//srv/not-allowed")
	r := state(t, p.wait(2), h.Name, view.StateFailed)
	if r.OK != 1 || r.Failed != 1 {
		t.Errorf("recap %+v, want 1 ok, 1 failed", r.Counts)
	}
	if got := s.on(h, "stat", "-c", "%U %s", "/home/robin/own"); got != "robin 4\n" {
		t.Errorf("/home/robin/own: %s", got)
	}
	if got := s.on(h, "sh", "-c", "cd /home/robin/.cache/spore && find . -type f | wc -l; ls"); got != "1\ncache\n" {
		t.Errorf("left in the home: %s", got)
	}
	s.on(h, "sh", "-c", "userdel -r robin 2>/dev/null; id robin 2>/dev/null || true")
}

// TestFullDisk has a host with no room, for the binary or for anything.
func TestFullDisk(t *testing.T) {
	s := play(t, 2, "/run/mount") // of mount(8)
	a, b := s.hosts[0], s.hosts[1]
	if err := b.LimitDisk(t.Context(), "/srv/small", "8m"); err != nil {
		t.Fatal(err)
	}
	args := append(s.pair("hello"), "--prefix", "/srv/small/spore", "--converged-timeout", "0")
	p := s.start(args...)
	s.others(p.wait(4), b, a, "disk is full")
	if left := s.on(b, "find", "/srv/small", "-mindepth", "1"); left != "" {
		t.Errorf("left on the disk: %s", left)
	}
	if err := b.FillDisk(t.Context(), "/srv/small"); err != nil {
		t.Fatal(err)
	}
	p = s.start(args...)
	s.others(p.wait(4), b, a, "/srv/small", "disk is full")
	s.on(b, "umount", "/srv/small")
	s.on(a, "rm", "-rf", "/srv/small")
	s.start(args...).wait(0)
	s.exchanged("hello")
}
