package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"spore/internal/lab"
	"spore/internal/view"
)

// agent returns the process id of the one agent that a host has.
func (s *scene) agent(h *lab.Host) string {
	s.Helper()
	all := s.agents(h)
	if len(all) != 1 {
		s.Fatalf("host %s has %d agents, want 1", h.Name, len(all))
	}
	return all[0]
}

// TestAgentKilled kills an agent: another takes its place, with the latest graph.
func TestAgentKilled(t *testing.T) {
	s := play(t, 2)
	a, b := s.hosts[0], s.hosts[1]
	p := s.start(s.pair("first")...)
	p.converged()
	s.pair("second")
	s.holds(a, "/srv/own", "second")
	s.holds(b, "/srv/shared-"+a.Name, "second")
	p.converged()
	before, other := s.agent(a), s.agent(b)
	own := s.on(a, "stat", "-c", "%i", "/srv/own")
	shared := s.on(b, "stat", "-c", "%i", "/srv/shared-"+a.Name)

	s.on(a, "kill", "-9", before)
	p.says(a.Name, "agent restarted")
	p.converged()
	if s.agent(a) == before || s.agent(b) != other {
		t.Errorf("host %s: agent %s became %s; host %s: %s became %s", a.Name, before, s.agent(a), b.Name, other, s.agent(b))
	}
	if s.on(a, "stat", "-c", "%i", "/srv/own") != own {
		t.Errorf("the new agent began with another graph than the latest")
	}
	s.exchanged("second")
	if s.on(b, "stat", "-c", "%i", "/srv/shared-"+a.Name) != shared {
		t.Errorf("the new agent exported something else than the last one")
	}
	s.write(a, "/srv/own", "somebody else")
	s.holds(a, "/srv/own", a.Name+" alone: second")
	recaps := p.stop()
	for _, h := range s.hosts {
		state(t, recaps, h.Name, view.StateConverged)
	}
}

// TestDropped breaks the SSH connection on the host's side, for each way in which sshd lets the
// host reach the store: the same agent is found again.
func TestDropped(t *testing.T) {
	s := play(t, 1)
	h := s.hosts[0]
	file := s.save("a.yaml", graph(h.Name, h.Name, "first"))
	for _, limit := range []string{"AllowTcpForwarding yes", "AllowStreamLocalForwarding no", "AllowTcpForwarding no"} {
		s.sshd(h, limit)
		s.save("a.yaml", graph(h.Name, h.Name, "first"))
		p := s.start("--remote", file)
		p.converged()
		pid := s.agent(h)
		s.on(h, "pkill", "-9", "-f", "^sshd: root@notty")
		p.says(h.Name, "connection lost")
		p.says(h.Name, "found the same agent again")
		p.converged()
		s.save("a.yaml", graph(h.Name, h.Name, "second"))
		s.holds(h, "/srv/shared-"+h.Name, "second")
		if now := s.agent(h); now != pid {
			t.Errorf("%s: agent %s became %s", limit, pid, now)
		}
		state(t, p.stop(), h.Name, view.StateConverged)
	}
}

// TestInitiatorKilled leaves agents alone: they end by themselves, and leave nothing.
func TestInitiatorKilled(t *testing.T) {
	s := play(t, 2)
	p := s.start(append(s.pair("hello"), "--orphan-timeout", "2s")...)
	p.converged()
	s.kill(p)
	for _, h := range s.hosts {
		s.await("the agent of host "+h.Name+" ends", func() bool { return len(s.agents(h)) == 0 })
	}
}

// TestTakeOver has a run follow one that was killed: agents that lost their initiator make room.
func TestTakeOver(t *testing.T) {
	s := play(t, 2)
	p := s.start(s.pair("first")...)
	p.converged()
	s.kill(p)
	next := s.start(append(s.pair("second"), "--converged-timeout", "0")...)
	recaps := next.wait(0)
	s.exchanged("second")
	for _, h := range s.hosts {
		state(t, recaps, h.Name, view.StateConverged)
	}
}

// TestAllKilled leaves a dead agent's directory to the next run, which clears it.
func TestAllKilled(t *testing.T) {
	s := play(t, 1)
	h := s.hosts[0]
	file := s.save("a.yaml", graph(h.Name, h.Name, "hello"))
	p := s.start("--remote", file)
	p.converged()
	pid := s.agent(h)
	p.signal(syscall.SIGSTOP) // it must not bring up another
	s.on(h, "kill", "-9", pid)
	s.kill(p)
	s.start("--remote", file, "--converged-timeout", "0").wait(0)
	if left := s.on(h, "sh", "-c", "ls -d /var/lib/spore/run-* 2>/dev/null || true"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// TestHostCrashed ends a host as a power cut would, and starts it again.
func TestHostCrashed(t *testing.T) {
	s := play(t, 2, "/run/", "/var/log/", "/var/lib/systemd/") // what a boot writes
	a, b := s.hosts[0], s.hosts[1]
	p := s.start(s.pair("hello")...)
	p.converged()
	if err := a.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.write(b, "/srv/own", "somebody else")
	s.holds(b, "/srv/own", b.Name+" alone: hello")
	s.write(a, "/srv/own", "somebody else")
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.says(a.Name, "agent restarted")
	s.holds(a, "/srv/own", a.Name+" alone: hello")
	p.converged()
	s.exchanged("hello")
	recaps := p.stop()
	for _, h := range s.hosts {
		state(t, recaps, h.Name, view.StateConverged)
	}
}

// kill kills an initiator, and takes away what it then cannot.
func (s *scene) kill(p *process) {
	s.Helper()
	p.signal(syscall.SIGKILL)
	p.wait(-1)
	entries, err := os.ReadDir(s.tmp)
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(s.tmp + "/" + e.Name()); err != nil {
			s.Fatal(err)
		}
	}
}

// TestTwoInitiators has a second run come to a host that has one.
func TestTwoInitiators(t *testing.T) {
	s := play(t, 2)
	a, b := s.hosts[0], s.hosts[1]
	first := s.start("--remote", s.save("first.yaml", graph(a.Name, a.Name, "first")))
	first.converged()
	pid := s.agent(a)

	second := s.start(append(s.pair("second"), "--converged-timeout", "0")...)
	recaps := second.wait(4)
	r := state(t, recaps, a.Name, view.StateUnreachable)
	for _, words := range []string{"another run manages this host", "root@", "pid " + pid} {
		if !strings.Contains(r.Error, words) {
			t.Errorf("%q does not tell of %q", r.Error, words)
		}
	}
	state(t, recaps, b.Name, view.StateConverged)

	if now := s.agent(a); now != pid {
		t.Errorf("the first run's agent %s became %s", pid, now)
	}
	s.write(a, "/srv/own", "somebody else")
	s.holds(a, "/srv/own", a.Name+" alone: first")
	state(t, first.stop(), a.Name, view.StateConverged)
	first.quiet()
}

// TestSimultaneous has two runs come to a host at the same moment: whoever is refused is told why,
// and one at least is served.
func TestSimultaneous(t *testing.T) {
	s := play(t, 1)
	h := s.hosts[0]
	file := s.save("a.yaml", graph(h.Name, h.Name, "hello"))
	for range 3 {
		var runs []*process
		for range 2 {
			runs = append(runs, s.start("--remote", file, "--converged-timeout", "0"))
		}
		served := 0
		for _, p := range runs {
			code, recaps := p.end()
			switch r := recaps[h.Name]; {
			case code == 0:
				served++
			case code != 4 || !strings.Contains(r.Error, "another run manages this host"):
				t.Errorf("%s: exit code %d, %s: %s", p.name, code, r.State, r.Error)
			}
		}
		if served == 0 {
			t.Errorf("neither was served")
		}
	}
}

// TestHungAgent ends a run whose agent does not react to anything any more.
func TestHungAgent(t *testing.T) {
	s := play(t, 1)
	h := s.hosts[0]
	p := s.start("--remote", s.save("a.yaml", graph(h.Name, h.Name, "hello")))
	p.converged()
	s.on(h, "kill", "-STOP", s.agent(h))
	p.signal(os.Interrupt)
	p.wait(130)
	if agents := s.agents(h); len(agents) > 0 {
		t.Errorf("agent %v lives on", agents)
	}
}
