package e2e

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"spore/internal/view"
)

// TestTwoHosts is the main job.
func TestTwoHosts(t *testing.T) {
	s := play(t, 2)
	for _, h := range s.hosts { // nothing cached
		s.on(h, "rm", "-rf", "/var/lib/spore")
	}
	args := append(s.pair("hello"), "--converged-timeout", "1")
	first := s.start(args...)
	recaps := first.wait(0)
	first.quiet()
	s.exchanged("hello")
	for _, h := range s.hosts {
		r := state(t, recaps, h.Name, view.StateConverged)
		if r.OK != 3 || r.Changed != 3 || r.Failed+r.Skipped != 0 {
			t.Errorf("host %s: recap %+v, want 3 ok and changed", h.Name, r.Counts)
		}
		if cached := s.on(h, "find", "/var/lib/spore", "-type", "f"); strings.Count(cached, "\n") != 1 {
			t.Errorf("host %s: left are %s", h.Name, cached)
		}
	}
	second := s.start(args...)
	again := second.wait(0)
	second.quiet()
	for _, h := range s.hosts {
		r := state(t, again, h.Name, view.StateConverged)
		if r.OK != 3 || r.Changed != 0 {
			t.Errorf("host %s: second recap %+v, want 3 ok, none changed", h.Name, r.Counts)
		}
		if binary := recaps[h.Name].Sent; r.Sent > binary/100 {
			t.Errorf("host %s: %d bytes sent with the binary cached, %d without", h.Name, r.Sent, binary)
		}
	}
}

// TestText looks at what a person sees.
func TestText(t *testing.T) {
	s := play(t, 2)
	cmd := s.command(append([]string{"run", "--no-input", "-F", s.lab.SSHConfig(), "--converged-timeout", "0"}, s.pair("hello")...)...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); e != nil {
		t.Fatalf("%v\n%s%s", e, &err, &out)
	}
	for _, h := range s.hosts {
		row := regexp.MustCompile(`(?m)^` + h.Name + ` +3 +3 +0 +0 +\S+ \S+ +\S+ +converged$`)
		if !row.Match(out.Bytes()) {
			t.Errorf("no line of host %s in the recap:\n%s", h.Name, &out)
		}
		if line := regexp.MustCompile(`(?m)^` + h.Name + ` +file\S*/srv/own\S* changed: `); !line.Match(err.Bytes()) {
			t.Errorf("no line of what changed on host %s:\n%s", h.Name, &err)
		}
	}
	if strings.Contains(out.String()+err.String(), "\x1b") {
		t.Errorf("colours, and not on a terminal: %q", out.String()+err.String())
	}
}
