package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"spore/internal/view"
)

// TestInterrupt ends runs at every stage, once and twice: each time as an interruption, and, as
// each scene checks, without a trace.
func TestInterrupt(t *testing.T) {
	s := play(t, 2)
	args := s.pair("hello")
	any := func(view.Record) bool { return true }
	link := func(r view.Record) bool { return r.Type == view.Link }
	for name, stage := range map[string]func(view.Record) bool{
		"at once":         any,
		"connected":       link,
		"copying":         func(r view.Record) bool { return r.Type == view.Progress || r.Type == view.Resource },
		"agents at work":  func(r view.Record) bool { return r.Type == view.Resource },
		"after converged": func(r view.Record) bool { return r.Type == view.Converged },
	} {
		for _, signals := range [][]os.Signal{{os.Interrupt}, {syscall.SIGTERM}, {os.Interrupt, os.Interrupt}} {
			for _, h := range s.hosts { // so that there is work
				s.on(h, "sh", "-c", "rm -f /srv/*")
			}
			p := s.start(append(args, "--no-caching")...)
			p.await(name, stage)
			for _, sig := range signals {
				p.signal(sig)
			}
			p.wait(130)
			for _, h := range s.hosts {
				if agents := s.agents(h); len(agents) > 0 {
					t.Fatalf("%v %s: the agent of host %s lives on", signals, name, h.Name)
				}
				if left := s.on(h, "sh", "-c", "ls -d /var/lib/spore/run-* 2>/dev/null || true"); left != "" {
					t.Fatalf("%v %s: left on host %s: %s", signals, name, h.Name, left)
				}
			}
		}
	}
}

// TestInterruptBusy ends a run whose resource is at work, and would be for long.
func TestInterruptBusy(t *testing.T) {
	s := play(t, 1)
	h := s.hosts[0]
	file := s.save("busy.yaml", fmt.Sprintf(`graph: busy
remote: %s
resources:
  exec:
  - name: long
    shell: /bin/sh
    cmd: trap '' TERM INT; echo begun >/srv/begun; sleep 3600
`, h.Name))
	p := s.start("--remote", file)
	s.holds(h, "/srv/begun", "begun")
	state(t, p.stop(), h.Name, view.StateInterrupted)
	if left := s.on(h, "sh", "-c", "pgrep -x sleep || true"); left != "" {
		t.Errorf("the command lives on: %s", left)
	}
}

// TestInterruptUnreachable ends runs while a host cannot be reached: an orderly end gives up after
// some time, and the second ^C waits for nobody. The host's agent ends by itself.
func TestInterruptUnreachable(t *testing.T) {
	s := play(t, 2)
	lost := s.hosts[0]
	for _, signals := range [][]os.Signal{{os.Interrupt}, {os.Interrupt, os.Interrupt}} {
		p := s.start(append(s.pair("hello"), "--orphan-timeout", "1s")...)
		p.converged()
		s.cut(lost)
		for _, sig := range signals {
			p.signal(sig)
		}
		p.wait(130)
		s.heal(lost)
		s.await("the agent that was cut off ends", func() bool { return len(s.agents(lost)) == 0 })
	}
}

// TestConvergedAtOnce ends a run at the moment of convergence. One host is there well before the
// other, whose exports come late: being done with one's own is not convergence.
func TestConvergedAtOnce(t *testing.T) {
	s := play(t, 2)
	late := s.hosts[1]
	args := s.pair("late")
	s.save(late.Name+".yaml", strings.Replace(graph(late.Name, late.Name, "late"), "resources:\n", `resources:
  exec:
  - name: slow
    shell: /bin/sh
    cmd: sleep 1; echo done >/srv/slow
    creates: /srv/slow
`, 1))
	p := s.start(append(args, "--converged-timeout", "0", "--cconns", "1")...)
	recaps := p.wait(0)
	s.exchanged("late")
	if read(late, "/srv/slow") != "done\n" {
		t.Errorf("the run has ended before what it waits for")
	}
	for _, h := range s.hosts {
		state(t, recaps, h.Name, view.StateConverged)
	}
	p.quiet()
}
