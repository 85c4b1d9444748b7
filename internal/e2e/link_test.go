package e2e

import (
	"strings"
	"testing"
	"time"

	"spore/internal/view"
)

// TestLinkCut cuts a host off for 20 s and lets it come back: it goes on by itself meanwhile, what
// it exports stays with the other, and what it missed arrives.
func TestLinkCut(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	s := play(t, 2)
	a, b := s.hosts[0], s.hosts[1]
	args := s.pair("first")
	withFile := func(words string) string {
		return strings.Replace(graph(a.Name, a.Name, words), "  file:\n", "  file:\n  - name: /srv/sourced\n    source: sourced\n", 1)
	}
	s.save("sourced", "first edition\n")
	s.save(a.Name+".yaml", withFile("first"))
	p := s.start(args...)
	p.converged()
	pid := s.agent(a)
	exported := s.on(b, "stat", "-c", "%i %Y", "/srv/shared-"+a.Name)

	s.cut(a)
	healing := time.After(20 * time.Second)
	s.write(a, "/srv/own", "somebody else")
	s.holds(a, "/srv/own", a.Name+" alone: first")
	s.save("sourced", "second edition\n")
	s.save(a.Name+".yaml", withFile("second"))
	s.save(b.Name+".yaml", graph(b.Name, b.Name, "second"))
	s.holds(b, "/srv/own", "second") // those who are there do not wait
	<-healing
	if got := read(a, "/srv/own"); got != a.Name+" alone: first\n" {
		t.Errorf("host %s, while it is cut off: %q", a.Name, got)
	}
	if now := s.on(b, "stat", "-c", "%i %Y", "/srv/shared-"+a.Name); now != exported {
		t.Errorf("what host %s exports was not left alone while it was cut off", a.Name)
	}
	s.heal(a)
	p.says(a.Name, "found the same agent again")
	p.converged()
	s.exchanged("second")
	if got := read(a, "/srv/sourced"); got != "second edition\n" {
		t.Errorf("host %s: /srv/sourced holds %q", a.Name, got)
	}
	if now := s.agent(a); now != pid {
		t.Errorf("agent %s became %s", pid, now)
	}
	recaps := p.stop()
	for _, h := range s.hosts {
		state(t, recaps, h.Name, view.StateConverged)
	}
}

// TestOrphaned cuts a host off for longer than its agent goes on alone. The agent ends and cleans
// up; when the link is back the host gets another.
func TestOrphaned(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	s := play(t, 2)
	a := s.hosts[0]
	p := s.start(append(s.pair("hello"), "--orphan-timeout", "1s")...)
	p.converged()
	s.cut(a)
	s.await("the agent that was cut off ends", func() bool { return len(s.agents(a)) == 0 })
	if left := s.on(a, "sh", "-c", "ls -d /var/lib/spore/run-* 2>/dev/null || true"); left != "" {
		t.Errorf("it has left %s", left)
	}
	s.write(a, "/srv/own", "somebody else")
	s.heal(a)
	p.says(a.Name, "agent restarted")
	s.holds(a, "/srv/own", a.Name+" alone: hello")
	p.converged()
	s.exchanged("hello")
	recaps := p.stop()
	for _, h := range s.hosts {
		state(t, recaps, h.Name, view.StateConverged)
	}
}
