package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"spore/internal/lab"
	"spore/internal/lab/labtest"
)

// outpost sets a scene as camp does, of hosts that are made so.
func outpost(t *testing.T, n int, o lab.Options) *scene {
	t.Helper()
	t.Parallel()
	g := enter(t)
	l := labtest.For(t, n, o)
	s := &scene{T: t, ground: &ground{binary: g.binary, lab: l}, hosts: l.Hosts}
	s.furnish()
	return s
}

// TestDetachLight leaves hosts to themselves that have no systemd, and an sshd that lets through no more
// than it must: what is killed is started again, what is interrupted ends, and nothing is left.
func TestDetachLight(t *testing.T) {
	s := outpost(t, 2, lab.Options{Light: true})
	for _, h := range s.hosts {
		s.sshd(h, "MaxSessions 2", "AllowTcpForwarding no", "AllowStreamLocalForwarding no", "Subsystem none /bin/false")
	}
	before := s.snapshots()
	s.leave()
	s.agreed("first")
	if m := s.members(); len(m) != 1 {
		t.Fatalf("served by %v, want one of two", m)
	}
	seed := s.host(s.members()[0])
	for _, h := range s.hosts {
		s.killed(h, "agent")
		s.write(h, "/srv/own", "somebody else")
		s.holds(h, "/srv/own", h.Name+" alone: first")
	}
	s.killed(seed, "store")
	s.await("the store answers again", func() bool { _, code := s.say("status"); return code == 0 })
	s.booted()
	s.everyone("second")
	s.deploy("--wait")
	s.agreed("second")

	last := s.hosts[1]
	s.interrupted("REPAIRED", "status", "--watch")
	s.interrupted(last.Name, "logs", "--follow", last.Name)
	file := s.save(last.Name+".yaml", strings.Replace(graph(last.Name, last.Name, "third"), "resources:\n", waiting, 1))
	s.interrupted("written for 1 host", "deploy", "--yes", "--wait", file)
	s.write(last, "/srv/go", "")
	s.holds(last, "/srv/waited", "done")
	s.holds(s.hosts[0], "/srv/shared-"+last.Name, "third")

	s.ok("destroy", "--yes")
	s.gone(before)
}

// booted reboots hosts on which nothing starts spore: it says how to start it, and goes on where it was.
func (s *scene) booted() {
	s.Helper()
	s.off(s.hosts...)
	s.power(s.hosts...)
	out, code := s.say("status", "--connect-timeout", "1")
	if code != 4 || strings.Count(out, "spore resident start starts it") != len(s.hosts) {
		s.Errorf("hosts that have booted: exit code %d\n%s", code, out)
	}
	for _, h := range s.hosts {
		s.write(h, "/srv/own", "somebody else")
		s.on(h, "/var/lib/spore/bin/spore", "resident", "start")
	}
	s.agreed("first")
}

// waiting begins resources with one that is at work until it may go.
const waiting = `resources:
  exec:
  - name: wait
    shell: /bin/sh
    cmd: until [ -e /srv/go ]; do sleep 0.1; done; echo done >/srv/waited
    creates: /srv/waited
`

// killed kills what stays on a host: another one takes its place, and no second one.
func (s *scene) killed(h *lab.Host, what string) {
	s.Helper()
	old := s.residents(h, what)
	if len(old) != 1 {
		s.Fatalf("host %s has %d processes of %s, want 1", h.Name, len(old), what)
	}
	s.on(h, "kill", "-9", old[0])
	s.await(fmt.Sprintf("host %s: the %s is started again", h.Name, what), func() bool {
		now := s.residents(h, what)
		return len(now) == 1 && now[0] != old[0]
	})
	if n := len(s.residents(h, "supervise "+what)); n != 1 {
		s.Errorf("host %s has %d supervisors of its %s, want 1", h.Name, n, what)
	}
}

// interrupted ends a command about the cluster as ^C does, once it has said words: nothing of it stays,
// here or on the hosts.
func (s *scene) interrupted(words, command string, args ...string) {
	s.Helper()
	cmd := s.command(append([]string{command, "-F", s.lab.SSHConfig(), "--no-input"}, args...)...)
	out := &overheard{words: words, said: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); <-ended }()
	select {
	case <-out.said:
	case <-ended:
		s.Fatalf("spore %s has ended by itself: %v\n%s", command, cmd.ProcessState, out)
	case <-time.After(patience):
		s.Fatalf("spore %s does not say %q\n%s", command, words, out)
	}
	begin := time.Now()
	_ = cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-ended:
	case <-time.After(patience):
		s.Fatalf("spore %s does not end\n%s", command, out)
	}
	s.Logf("spore %s took %v to end", command, time.Since(begin).Round(time.Millisecond))
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		s.Errorf("spore %s ended with %d, want 130\n%s", command, code, out)
	}
	if syscall.Kill(-cmd.Process.Pid, 0) == nil {
		s.Errorf("spore %s has left processes behind", command)
	}
	for _, h := range s.hosts {
		for _, what := range []string{"pipe", "logs"} {
			s.await(fmt.Sprintf("host %s: no %s is left", h.Name, what), func() bool { return len(s.residents(h, what)) == 0 })
		}
	}
}

// What is overheard is what a command has said so far.
type overheard struct {
	mu    sync.Mutex
	text  bytes.Buffer
	words string // that are waited for
	said  chan struct{}
	once  sync.Once
}

func (o *overheard) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = o.text.Write(p) // it takes everything
	if bytes.Contains(o.text.Bytes(), []byte(o.words)) {
		o.once.Do(func() { close(o.said) })
	}
	return len(p), nil
}

func (o *overheard) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
