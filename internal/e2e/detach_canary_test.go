package e2e

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spore/internal/lab"
)

// TestDetachCanary leaves hosts to themselves with known secrets and looks for them everywhere, when others
// took their places and when a host booted that then had nobody to ask.
func TestDetachCanary(t *testing.T) {
	s := camp(t, 2)
	store, h := s.hosts[0], s.hosts[1]
	c := s.brood()
	c["url"] = h.Password
	s.env = []string{"SPORE_CANARY=" + c["env"], "SPORE_AGE_IDENTITY=" + filepath.Join(s.graphs, "age.key")}
	for _, h := range s.hosts {
		s.on(h, "touch", "/srv/.mark")
	}
	file := s.save("canary.yaml", canaryGraph(h, ""))
	p := s.start("--remote", s.save("store.yaml", graph(store.Name, store.Name, "first")), "--remote", file, "--detach")
	p.wait(2) // for one resource fails
	if from := c.in([]byte(p.transcript())); from != nil {
		t.Errorf("said when the hosts were left: %v", from)
	}
	s.write(h, "/srv/env", "somebody else")
	s.holds(h, "/srv/env", c["env"])
	s.buried(h, c, "env", "file")

	later := s.brood()
	c["old env"], c["old file"] = c["env"], c["file"]
	c["env"], c["file"], c["cmd"], c["age"] = later["env"], later["file"], later["cmd"], later["age"]
	s.env = []string{"SPORE_CANARY=" + c["env"], "SPORE_AGE_IDENTITY=" + filepath.Join(s.graphs, "age.key")}
	out, code := s.say("deploy", "--yes", "--diff", "--wait", file)
	if from := c.in([]byte(out)); code != 2 || from != nil {
		t.Errorf("the deploy says %v: exit code %d", from, code)
	}
	s.holds(h, "/srv/env", c["env"])
	s.holds(h, "/srv/file", c["file"])
	s.buried(h, c, "env", "file")
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"logs", "--diff", h.Name}, {"logs", "--json", h.Name}} {
		out, _ := s.say(args[0], args[1:]...)
		if from := c.in([]byte(out)); from != nil || !strings.Contains(out, "the token is ****") {
			t.Errorf("spore %s says %v:\n%s", args, from, out)
		}
	}

	s.off(store, h)
	s.write(h, "/srv/env", "somebody else")
	s.power(h)
	s.holds(h, "/srv/env", c["env"])
	s.buried(h, c, "env", "file")
	s.power(store)
	s.ok("destroy", "--yes")
	s.buried(h, c, "env", "file")
}

// buried checks that at this moment secrets are nowhere but in the files of h that the graph declares.
func (s *scene) buried(h *lab.Host, c canaries, declared ...string) {
	s.Helper()
	for _, host := range s.hosts {
		if !host.Running() {
			continue
		}
		found := map[string][]string{}
		for path, from := range s.unearth(host, c) {
			if i := strings.TrimPrefix(path, "/srv/"); host != h || len(from) != 1 || from[0] != i {
				s.Errorf("in %s of host %s: %v", path, host.Name, from)
				continue
			}
			found[path] = from
		}
		if host == h && len(found) != len(declared) {
			s.Errorf("host %s has %v, want %q: the search is not thorough", h.Name, found, declared)
		}
		if from := c.in([]byte(s.on(host, "journalctl", "-q", "--no-pager", "-o", "export", "--all"))); from != nil {
			s.Errorf("in the journal of host %s: %v", host.Name, from)
		}
	}
	s.shown(c)
	for _, dir := range []string{s.tmp, s.home} {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if from := c.in(text); from != nil {
				s.Errorf("in the laptop's %s: %v", path, from)
			}
			return err
		})
		if err != nil {
			s.Error(err)
		}
	}
}

// unearth looks at every file of a host that came since its mark, but for our binaries.
func (s *scene) unearth(h *lab.Host, c canaries) map[string][]string {
	s.Helper()
	cmd, err := h.Command(s.Context(), "sh", "-c", `find / /run /tmp /var/tmp /dev/shm -xdev -newer /srv/.mark -type f ! -name spore \
	! -path '/proc/*' ! -path '/sys/*' -print0 | tar --null --no-recursion -P -T - -cf - 2>/dev/null || true`)
	if err != nil {
		s.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.Fatal(err)
	}
	found, files := map[string][]string{}, 0
	for r := tar.NewReader(out); ; files++ {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			s.Fatal(err)
		}
		if from := c.in(text); from != nil {
			found[header.Name] = from
		}
	}
	if err := cmd.Wait(); err != nil || files < 5 {
		s.Errorf("host %s: looked at %d files: %v", h.Name, files, err)
	}
	return found
}

// shown looks at what every process shows: the hosts' are this machine's too.
func (s *scene) shown(c canaries) {
	s.Helper()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		argv, _ := os.ReadFile(dir + "/cmdline")
		environ, _ := os.ReadFile(dir + "/environ")
		if from := c.in(argv); from != nil {
			s.Errorf("in the arguments of %q: %v", argv, from)
		}
		from := c.in(environ)
		asked := bytes.HasPrefix(argv, []byte("sleep\x0098765")) || bytes.Equal(argv, []byte("true\x00")) ||
			bytes.HasPrefix(argv, []byte("/bin/sh\x00-c\x00echo \"the token"))
		if from != nil && !asked {
			s.Errorf("in the environment of %q: %v", argv, from)
		}
	}
}
