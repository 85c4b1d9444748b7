package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"spore/internal/lab"
	"spore/internal/lab/labtest"
	"spore/internal/view"
)

// camp sets a scene of n hosts of a lab of their own, where they reach each other, as those who are
// to be left to themselves have to.
func camp(t *testing.T, n int) *scene {
	t.Helper()
	t.Parallel()
	g := enter(t)
	l := labtest.For(t, n, lab.Options{})
	s := &scene{T: t, ground: &ground{binary: g.binary, lab: l}, hosts: l.Hosts}
	s.furnish()
	return s
}

// everyone saves the graphs of all hosts and returns the arguments that name them.
func (s *scene) everyone(words string) []string {
	s.Helper()
	var args []string
	for _, h := range s.hosts {
		args = append(args, "--remote", s.save(h.Name+".yaml", graph(h.Name, h.Name, words)))
	}
	return args
}

// leave has all hosts left to themselves.
func (s *scene) leave(args ...string) {
	s.Helper()
	p := s.start(append(append(s.everyone("first"), "--detach", "--member-timeout", "10s"), args...)...)
	recaps := p.wait(0)
	for _, h := range s.hosts {
		state(s.T, recaps, h.Name, view.StateConverged)
	}
}

// say runs a command of spore that speaks of the cluster, and returns what it says and its code.
func (s *scene) say(command string, args ...string) (string, int) {
	s.Helper()
	cmd := s.command(append([]string{command, "-F", s.lab.SSHConfig(), "--no-input"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		s.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// ok is say for what has to work.
func (s *scene) ok(command string, args ...string) string {
	s.Helper()
	out, code := s.say(command, args...)
	if code != 0 {
		s.Fatalf("spore %s %s: exit code %d\n%s", command, strings.Join(args, " "), code, out)
	}
	return out
}

// agreed waits until every host has what every host exports.
func (s *scene) agreed(words string) {
	s.Helper()
	for _, h := range s.hosts {
		s.holds(h, "/srv/own", h.Name+" alone: "+words)
		for _, from := range s.hosts {
			s.holds(h, "/srv/shared-"+from.Name, "from "+from.Name+": "+words)
		}
	}
}

// inodes tells which files the exports of all are on every host: one that is written anew is another.
func (s *scene) inodes() string {
	s.Helper()
	var all strings.Builder
	for _, h := range s.hosts {
		all.WriteString(h.Name + ":\n" + s.on(h, "sh", "-c", "stat -c '%n %i' /srv/own /srv/shared-*"))
	}
	return all.String()
}

// residents returns the process ids of what stays on a host.
func (s *scene) residents(h *lab.Host, what string) []string {
	s.Helper()
	return strings.Fields(s.on(h, "sh", "-c", "pgrep -f '^[^ ]*/spore resident "+what+"' || true"))
}

// members are the hosts that serve the store.
func (s *scene) members() (hosts []string) {
	s.Helper()
	var status struct {
		Members []struct {
			Host    string
			Learner bool
		}
	}
	out, _ := s.say("status", "--json")
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return nil // no host leads to the store for the moment
	}
	for _, m := range status.Members {
		if !m.Learner {
			hosts = append(hosts, m.Host)
		}
	}
	return hosts
}

// TestDetach leaves three hosts to themselves: they repair drift, tell each other what they export,
// take new graphs, get over the crash of one and leave nothing when it is over.
func TestDetach(t *testing.T) {
	s := camp(t, 3)
	before := s.snapshots()
	p := s.start(append(s.everyone("first"), "--detach")...)
	p.converged()
	s.agreed("first")
	files := s.inodes()
	p.wait(0)
	if after := s.inodes(); after != files {
		t.Errorf("the hand-over made files anew: before\n%safter\n%s", files, after)
	}
	for _, h := range s.hosts {
		if n := len(s.residents(h, "agent")); n != 1 || len(s.agents(h)) != 0 {
			t.Errorf("host %s has %d agents that stay, and %d of sessions", h.Name, n, len(s.agents(h)))
		}
		s.write(h, "/srv/own", "somebody else")
		s.holds(h, "/srv/own", h.Name+" alone: first")
	}
	if m := s.members(); len(m) != 3 {
		t.Errorf("served by %v, want all three", m)
	}

	out, code := s.say("run", s.everyone("other")[:2]...)
	if code != 4 || !strings.Contains(out, "belongs to the detached cluster main") {
		t.Errorf("a run on a host that is left to itself: exit code %d\n%s", code, out)
	}

	s.everyone("second")
	s.deploy("--wait")
	s.agreed("second")

	crashed := s.hosts[2]
	if err := crashed.Crash(s.Context()); err != nil {
		t.Fatal(err)
	}
	s.everyone("third")
	s.deploy()
	for _, h := range s.hosts[:2] {
		s.holds(h, "/srv/shared-"+s.hosts[0].Name, "third")
	}
	if err := crashed.Start(s.Context()); err != nil {
		t.Fatal(err)
	}
	s.agreed("third")

	s.ok("destroy", "--yes")
	s.gone(before)
}

// deploy deploys the graphs of all hosts as they were last saved.
func (s *scene) deploy(args ...string) {
	s.Helper()
	for _, h := range s.hosts {
		args = append(args, filepath.Join(s.graphs, h.Name+".yaml"))
	}
	s.ok("deploy", append(args, "--yes")...)
}

func (s *scene) snapshots() map[string]lab.Snapshot {
	s.Helper()
	all := map[string]lab.Snapshot{}
	for _, h := range s.hosts {
		snapshot, err := h.Snapshot(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		all[h.Name] = snapshot
	}
	return all
}

// gone checks that nothing is left on the hosts but what graphs declare.
func (s *scene) gone(before map[string]lab.Snapshot) {
	s.Helper()
	for _, h := range s.hosts {
		var left []string
		ctx, cancel := context.WithTimeout(s.Context(), patience)
		err := until(ctx, func() (bool, error) {
			after, err := h.Snapshot(ctx)
			if err != nil {
				return false, err
			}
			left = before[h.Name].Diff(after, "/srv/", "/etc/ssh/sshd_config.d/", "/run/", "/var/log/", "/var/lib/systemd/")
			return len(left) == 0, nil
		})
		cancel()
		if err != nil {
			s.Errorf("left on host %s (%v):\n%s", h.Name, err, strings.Join(left, "\n"))
		}
	}
}

// TestDetachKilled kills the initiator at moments all over the hand-over. To run the same command again
// finishes the job, whichever arrangement was left.
func TestDetachKilled(t *testing.T) {
	s := camp(t, 3)
	for _, after := range []time.Duration{0, 300 * time.Millisecond, 600 * time.Millisecond, 900 * time.Millisecond} {
		t.Logf("killed %v after it had converged", after)
		p := s.start(append(s.everyone("first"), "--detach")...)
		p.converged()
		<-time.After(after) // any moment will do; the outcome has to be the same
		p.signal(syscall.SIGKILL)
		p.end()
		s.leave()
		s.agreed("first")
		for _, h := range s.hosts {
			if n := len(s.residents(h, "agent")); n != 1 || len(s.agents(h)) != 0 {
				t.Errorf("host %s has %d agents that stay, and %d of sessions", h.Name, n, len(s.agents(h)))
			}
		}
		s.ok("destroy", "--yes")
	}
}

// TestDetachInterrupted ends the initiator in order, in the middle of it: the old arrangement or the
// new one is left, and nothing of the other.
func TestDetachInterrupted(t *testing.T) {
	s := camp(t, 2)
	before := s.snapshots()
	p := s.start(append(s.everyone("first"), "--detach")...)
	p.converged()
	p.signal(syscall.SIGINT)
	code, _ := p.end()
	_, err := os.Stat(filepath.Join(s.home, ".local/share/spore/clusters/main.json"))
	if code != 130 && (code != 0 || err != nil) { // 0 is of one that was done already
		t.Errorf("exit code %d, want 130; the record of the cluster: %v", code, err)
	}
	if err == nil {
		s.ok("destroy", "--yes") // it had got that far
	}
	for _, h := range s.hosts {
		s.on(h, "rm", "-rf", "/var/lib/spore")
	}
	s.gone(before)
}

// TestDetachApart shows that hosts that cannot reach each other are found out before anything is
// changed.
func TestDetachApart(t *testing.T) {
	s := play(t, 2)
	p := s.start(append(s.pair("first"), "--detach", "--connect-timeout", "10")...)
	p.wait(2)
	for i, h := range s.hosts {
		other := s.hosts[1-i]
		if want := fmt.Sprintf("%s cannot reach %s at %s:7480", h.Name, other.Name, other.Addr); !strings.Contains(p.transcript(), want) {
			t.Errorf("it does not say: %s", want)
		}
	}
}

// TestMemberReplaced destroys a host that serves the store for good: another takes its place.
func TestMemberReplaced(t *testing.T) {
	s := camp(t, 4)
	s.leave("--ideal-cluster-size", "3")
	first := s.members()
	if len(first) != 3 {
		t.Fatalf("served by %v, want three of four", first)
	}
	lost := s.host(first[1])
	if err := lost.Destroy(s.Context()); err != nil {
		t.Fatal(err)
	}
	var now []string
	s.await("another host takes the place of "+lost.Name, func() bool {
		now = s.members()
		return len(now) == 3 && !strings.Contains(strings.Join(now, " "), lost.Name)
	})
	s.hosts = remove(s.hosts, lost)
	s.everyone("second")
	s.deploy("--wait")
	for _, h := range s.hosts {
		s.holds(h, "/srv/own", "second")
	}
}

func (s *scene) host(name string) *lab.Host {
	s.Helper()
	for _, h := range s.hosts {
		if h.Name == name {
			return h
		}
	}
	s.Fatalf("there is no host %q", name)
	return nil
}

func remove(hosts []*lab.Host, h *lab.Host) (others []*lab.Host) {
	for _, o := range hosts {
		if o != h {
			others = append(others, o)
		}
	}
	return others
}
