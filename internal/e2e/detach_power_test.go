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

// TestDetachPower has hosts without power at the wrong time: one when the others are left to themselves
// and when graphs are deployed, and then all of them at once.
func TestDetachPower(t *testing.T) {
	s := camp(t, 3)
	before := s.snapshots()
	late := s.hosts[2]
	s.off(late)
	p := s.start(append(s.everyone("first"), "--detach", "--member-timeout", "10s", "--connect-timeout", "3")...)
	recaps := p.wait(4)
	state(t, recaps, late.Name, view.StateUnreachable)
	for _, h := range s.hosts[:2] {
		state(t, recaps, h.Name, view.StateConverged)
		if n := len(s.residents(h, "agent")); n != 1 {
			t.Errorf("host %s has %d agents that stay, want 1", h.Name, n)
		}
	}
	s.power(late)
	state(t, s.start(append(s.everyone("first"), "--detach")...).wait(0), late.Name, view.StateConverged)
	s.agreed("first")

	s.off(late)
	s.everyone("second")
	for i, deep := range []string{"deep", "deeper"} { // two of them, of which it is to have the second
		s.save("tree/deep/file", deep)
		s.save(late.Name+".yaml", strings.Replace(graph(late.Name, late.Name, "second"), "  file:\n", travelling, 1))
		if i == 0 {
			s.deploy()
		} else {
			s.ok("deploy", "--yes", filepath.Join(s.graphs, late.Name+".yaml"))
		}
	}
	s.power(late)
	s.agreed("second")
	s.holds(late, "/srv/tree/deep/file", "deeper")

	s.off(s.hosts...)
	s.unreachable()
	for _, h := range s.hosts {
		s.write(h, "/srv/own", "somebody else")
	}
	s.power(s.hosts...)
	s.agreed("second")
	s.await("all is well again", func() bool { _, code := s.say("status"); return code == 0 })
	if m := s.members(); len(m) != 3 {
		t.Errorf("served by %v, want all three", m)
	}
	s.everyone("third")
	s.deploy("--wait")
	s.agreed("third")
	s.unread()
	s.ended()
	s.gone(before)
}

// travelling begins files with a tree that travels with the graph.
const travelling = `  file:
  - name: /srv/tree/
    source: tree
    recurse: true
`

// off takes the power from hosts.
func (s *scene) off(hosts ...*lab.Host) {
	s.Helper()
	for _, h := range hosts {
		if err := h.Crash(s.Context()); err != nil {
			s.Fatal(err)
		}
	}
}

// power gives it back to them.
func (s *scene) power(hosts ...*lab.Host) {
	s.Helper()
	for _, h := range hosts {
		if err := h.Start(s.Context()); err != nil {
			s.Fatal(err)
		}
	}
}

// unreachable checks that commands say why each host does not lead to the store.
func (s *scene) unreachable() {
	s.Helper()
	for _, args := range [][]string{
		{"status"}, {"status", "--watch"}, {"graph", "get", s.hosts[0].Name}, {"deploy", "--yes", filepath.Join(s.graphs, s.hosts[0].Name+".yaml")},
	} {
		cmd := s.command(append(args, "-F", s.lab.SSHConfig(), "--no-input", "--connect-timeout", "1")...)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 4 {
			s.Errorf("spore %s: %v, want exit code 4\n%s", args, err, out)
		}
		for _, h := range s.hosts {
			if !strings.Contains(string(out), fmt.Sprintf("\n  %s: ", h.Name)) {
				s.Errorf("spore %s does not say what is wrong with %s:\n%s", args, h.Name, out)
			}
		}
	}
}

// unread checks that a record is refused that others may read, and that of a cluster there is none of.
func (s *scene) unread() {
	s.Helper()
	record := filepath.Join(s.home, ".local/share/spore/clusters/main.json")
	for _, change := range []struct {
		path string
		mode os.FileMode
	}{{record, 0o644}, {filepath.Dir(record), 0o755}} {
		info, err := os.Stat(change.path)
		if err == nil {
			err = os.Chmod(change.path, change.mode)
		}
		if err != nil {
			s.Fatal(err)
		}
		out, code := s.say("leave", "--yes", s.hosts[0].Name)
		if code != 1 || !strings.Contains(out, change.path) || !strings.Contains(out, "chmod") {
			s.Errorf("%s open to others: exit code %d\n%s", change.path, code, out)
		}
		if err := os.Chmod(change.path, info.Mode().Perm()); err != nil {
			s.Fatal(err)
		}
	}
	for _, elsewhere := range []string{s.tmp, filepath.Join(s.tmp, "nowhere")} {
		s.env = []string{"XDG_DATA_HOME=" + elsewhere}
		if out, code := s.say("status"); code != 1 || !strings.Contains(out, "no cluster is known here") {
			s.Errorf("no record: exit code %d\n%s", code, out)
		}
	}
	s.env = nil
}

// ended destroys the cluster. Who has its record still is told so, and gets rid of it in the same way.
func (s *scene) ended() {
	s.Helper()
	record := filepath.Join(s.home, ".local/share/spore/clusters/main.json")
	kept, err := os.ReadFile(record)
	if err != nil {
		s.Fatal(err)
	}
	s.ok("destroy", "--yes")
	if err := os.WriteFile(record, kept, 0o600); err != nil {
		s.Fatal(err)
	}
	out, code := s.say("status")
	if code != 4 || strings.Count(out, "nothing of the cluster resides there") != len(s.hosts) {
		s.Errorf("a cluster that was destroyed: exit code %d\n%s", code, out)
	}
	s.ok("destroy", "--yes")
	if _, err := os.Stat(record); err == nil {
		s.Errorf("the record of what was destroyed is still there")
	}
}
