package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"spore/internal/lab"
	"spore/internal/view"
)

// TestDetachBecome leaves hosts to themselves at which joe logs in, who becomes root by his password: it
// is needed for each command, and nobody is asked for it without a terminal.
func TestDetachBecome(t *testing.T) {
	s := outpost(t, 2, lab.Options{Light: true})
	before := map[string]lab.Snapshot{}
	var remotes, graphs []string
	for i, h := range s.hosts {
		s.populate(h, []string{"joe ALL=(ALL) ALL", "Defaults use_pty,requiretty\njoe ALL=(ALL) ALL"}[i], "")
		snapshot, err := h.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		before[h.Name] = snapshot
		graphs = append(graphs, s.save(h.Name+".yaml", graph("joe@"+h.Name, h.Name, "first")))
		remotes = append(remotes, "--remote", graphs[i])
	}
	word := []string{"--become-password-file", s.save("password", joesWord+"\n")}
	p := s.start(append(append(remotes, "--become", "--detach"), word...)...)
	recaps := p.wait(0)
	for _, h := range s.hosts {
		state(t, recaps, h.Name, view.StateConverged)
	}
	s.agreed("first")

	for _, args := range [][]string{{"status"}, {"deploy", "--yes", graphs[0]}, {"logs", s.hosts[1].Name}, {"destroy", "--yes"}} {
		s.asksNobody(args, "--no-input")
		s.asksNobody(args)
	}
	s.ok("status", word...)
	for _, h := range s.hosts {
		s.save(h.Name+".yaml", graph("joe@"+h.Name, h.Name, "second"))
	}
	s.ok("deploy", append(append(word, "--yes", "--wait"), graphs...)...)
	s.agreed("second")
	for _, h := range s.hosts {
		if said := s.ok("logs", append(word, h.Name)...); !strings.Contains(said, "file//srv/own changed") {
			t.Errorf("the agent of host %s is said to have done\n%s", h.Name, said)
		}
	}
	s.untold(joesWord)

	s.ok("destroy", append(word, "--yes")...)
	for _, h := range s.hosts {
		s.nothingLeft(h, before[h.Name])
		if left := s.on(h, "sh", "-c", "ls -d /var/lib/spore 2>/dev/null || true"); left != "" {
			t.Errorf("left on host %s: %s", h.Name, left)
		}
	}
}

// asksNobody checks that a command says so of a host where it would have to ask, and changes nothing.
func (s *scene) asksNobody(args []string, flags ...string) {
	s.Helper()
	cmd := s.command(append(append(args, "-F", s.lab.SSHConfig()), flags...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // without a terminal
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 4 {
		s.Errorf("spore %s %s: %v, want exit code 4\n%s", args, flags, err, out)
	}
	const words = "become root by sudo on %s: a password is needed, and asking is off"
	for _, h := range s.hosts {
		if one := args[0] == "logs" && args[1] != h.Name; !one && !strings.Contains(string(out), fmt.Sprintf(words, h.Name)) {
			s.Errorf("spore %s %s does not say "+words+":\n%s", args, flags, h.Name, out)
		}
	}
}

// untold checks that a password is in no arguments, no environment, and nothing that is kept.
func (s *scene) untold(word string) {
	s.Helper()
	for _, h := range s.hosts {
		const all = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; find /var/lib/spore /run /tmp -type f ! -name spore -exec cat {} +"
		if strings.Contains(s.on(h, "sh", "-c", "{ "+all+"; } 2>/dev/null; true"), word) {
			s.Errorf("host %s knows the password", h.Name)
		}
	}
	record, err := os.ReadFile(filepath.Join(s.home, ".local/share/spore/clusters/main.json"))
	if err != nil || strings.Contains(string(record), word) {
		s.Errorf("the record holds the password: %v", err)
	}
}
