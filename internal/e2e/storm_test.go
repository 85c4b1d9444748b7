package e2e

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"spore/internal/lab"
	"spore/internal/lab/labtest"
	"spore/internal/view"
)

// fewHosts are enough to see every way work; make storm goes to two hundred, which takes minutes.
const fewHosts = "12"

// TestStorm goes to many light hosts, fifty at once: directly, through one of them as a jump host,
// and by a ProxyCommand each to that host, whose sshd then refuses many by its usual MaxStartups.
// SPORE_STORM says how many.
func TestStorm(t *testing.T) {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("SPORE_STORM"), fewHosts))
	if err != nil {
		t.Fatalf("SPORE_STORM: %v", err)
	}
	g := enter(t)
	l := labtest.For(t, n, lab.Options{Light: true})
	s := &scene{T: t, ground: &ground{binary: g.binary, lab: l}, hosts: l.Hosts}
	s.furnish()
	var names []string
	for _, h := range l.Hosts {
		names = append(names, h.Name)
	}
	// The copies take turns on one disk and two processors: the cache is part of what is tried.
	s.storm("direct, binary to be copied", l.SSHConfig(), names)
	s.storm("direct, binary cached", l.SSHConfig(), names)
	s.storm("by one jump host", s.via("ProxyJump "+names[0]), names)
	s.storm("by a ProxyCommand each", s.via("ProxyCommand ssh -F "+l.SSHConfig()+" -W %h:%p "+names[0]), names)
}

// via is an ssh_config that has a line more for every host but the first.
func (s *scene) via(line string) string {
	s.Helper()
	path := filepath.Join(s.graphs, "ssh_config")
	text := fmt.Sprintf("Host * !%s\n  %s\nHost *\nInclude %s\n", s.hosts[0].Name, line, s.lab.SSHConfig())
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

func (s *scene) storm(what, config string, names []string) {
	s.Helper()
	begin := time.Now()
	file := s.save("storm.yaml", fmt.Sprintf(`graph: storm
remote: [%s]
resources:
  file:
  - name: /srv/storm
    content: "%s\n"
`, strings.Join(names, ", "), what))
	p := s.launch("run", "--json", "--no-input", "-F", config, "--cconns", "50", "--connect-timeout", "5m",
		"--remote", file, "--converged-timeout", "0")
	select {
	case <-p.ended:
	case <-time.After(10 * time.Minute):
		p.signal(os.Kill)
		<-p.ended
		s.Fatalf("%s: it does not end", what)
	}
	retried := map[string]bool{}
	for _, r := range p.records {
		if r.Type == view.Link && strings.Contains(r.Message, "attempt") {
			retried[r.Host] = true
		}
	}
	recaps := p.wait(0)
	for _, h := range s.hosts {
		state(s.T, recaps, h.Name, view.StateConverged)
		if got := read(h, "/srv/storm"); got != what+"\n" {
			s.Errorf("%s: host %s has %q", what, h.Name, got)
		}
	}
	s.Logf("%s: %d hosts in %v, %d of them not at the first attempt", what, len(names), time.Since(begin).Round(time.Millisecond), len(retried))
}
