package e2e

import (
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
	p := s.start(s.pair("first")...)
	p.converged()
	pid := s.agent(a)
	exported := s.on(b, "stat", "-c", "%i %Y", "/srv/shared-"+a.Name)

	s.cut(a)
	healing := time.After(20 * time.Second)
	s.write(a, "/srv/own", "somebody else")
	s.holds(a, "/srv/own", a.Name+" alone: first")
	s.save(a.Name+".yaml", graph(a.Name, a.Name, "second"))
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
	if now := s.agent(a); now != pid {
		t.Errorf("agent %s became %s", pid, now)
	}
	recaps := p.stop()
	for _, h := range s.hosts {
		if r := state(t, recaps, h.Name, view.StateConverged); r.OK != 3 {
			t.Errorf("host %s: recap %+v, want 3 ok", h.Name, r.Counts)
		}
	}
}
