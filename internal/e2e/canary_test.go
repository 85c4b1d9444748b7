package e2e

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"spore/engine"
	"spore/internal/lab"
	"spore/internal/view"
)

// Canaries are secrets that are known to the test, by where they come from: wherever one of them is
// seen, that secret has got out.
type canaries map[string]string

// in returns where the canaries in text come from.
func (c canaries) in(text []byte) (from []string) {
	for source, secret := range c {
		if bytes.Contains(text, []byte(secret)) {
			from = append(from, source)
		}
	}
	return from
}

// brood makes secrets of every source that takes no person, and puts them there.
func (s *scene) brood() canaries {
	s.Helper()
	c := canaries{"url": s.hosts[0].Password}
	for _, source := range []string{"env", "file", "cmd", "age", "edit"} {
		c[source] = "canary-" + source + "-" + rand.Text()
	}
	s.save("file.secret", c["file"]+"\n")
	s.save("cmd.secret", c["cmd"]+"\n")
	s.save("edit.secret", c["edit"]+"\n")
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		s.Fatal(err)
	}
	s.save("age.key", identity.String()+"\n")
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, identity.Recipient())
	if err == nil {
		_, err = w.Write([]byte(c["age"]))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		s.Fatal(err)
	}
	s.save("secret.age", sealed.String())
	return c
}

// canaryGraph has files made of secrets, a command that lives with one in its environment, and one
// that fails and cries it out.
func canaryGraph(h *lab.Host, more string) string {
	return fmt.Sprintf(`graph: canary
remote: ssh://root:%s@%s
resources:
  file:
  - name: /srv/env
    mode: "0600"
    content: secret://env/SPORE_CANARY
  - name: /srv/file
    mode: "0600"
    content: secret://file/file.secret%s
  exec:
  - name: alive
    cmd: "true"
    watchcmd: sleep 98765
    env: {TOKEN: "secret://cmd/cat cmd.secret"}
  - name: cry
    shell: /bin/sh
    cmd: echo "the token is $TOKEN" >&2; echo "$TOKEN"; exit 3
    env: {TOKEN: "secret://age/secret.age"}
`, h.Password, h.Name, more)
}

// TestCanary runs a whole job with known secrets and looks for them everywhere.
func TestCanary(t *testing.T) {
	s := play(t, 1)
	h := s.hosts[0]
	c := s.brood()
	s.env = []string{"SPORE_CANARY=" + c["env"], "SPORE_AGE_IDENTITY=" + filepath.Join(s.graphs, "age.key")}
	s.on(h, "touch", "/srv/.mark")
	file := s.save("canary.yaml", canaryGraph(h, ""))
	args := []string{"-F", s.config(s.known(), "IdentityFile none"), "--remote", file, "--verbose", "--diff"}
	p := s.start(args...)
	if e := p.fails(h.Name, "exec/cry").Event; !strings.Contains(e.Err, "********") {
		t.Errorf("the command's last words are gone: %s", e.Err)
	}
	s.await("the files have come", func() bool { return read(h, "/srv/env") == c["env"] && read(h, "/srv/file") == c["file"] })
	s.caged(p, h, c)

	s.save("canary.yaml", canaryGraph(h, "\n  - name: /srv/edit\n    content: secret://file/edit.secret"))
	s.holds(h, "/srv/edit", c["edit"])
	s.caged(p, h, c)

	s.on(h, "kill", "-9", s.agent(h))
	p.says(h.Name, "agent restarted")
	s.write(h, "/srv/edit", "somebody else")
	s.holds(h, "/srv/edit", c["edit"])
	s.caged(p, h, c)
	p.stop()
	if from := c.in([]byte(p.transcript())); from != nil {
		t.Errorf("said at the end: %v\n", from)
	}
	s.nest(h, c, false)

	s.write(h, "/srv/env", "somebody else")
	for _, more := range [][]string{{"--noop", "--diff"}, {"--diff", "--verbose"}} { // as people see it
		text, err := s.text(append(args[:4:4], append(more, "--converged-timeout", "0")...)...)
		if from := c.in(text); from != nil || !bytes.Contains(text, []byte("file//srv/env")) {
			t.Errorf("%v shows %v: %v", more, from, err)
		}
	}
}

// caged checks that at this moment secrets are nowhere but where they have to be.
func (s *scene) caged(p *process, h *lab.Host, c canaries) {
	s.Helper()
	s.processes(p, c)
	s.nest(h, c, true)
	if open := s.on(h, "sh", "-c", `find /var/lib/spore/run-* -perm /077 ! -type l; find /var/lib/spore/run-* ! -user root`); open != "" {
		s.Errorf("open to others:\n%s", open)
	}
	if from := c.in([]byte(s.on(h, "journalctl", "-q", "--no-pager", "-o", "export", "--all"))); from != nil {
		s.Errorf("in the host's journal: %v", from)
	}
	p.mu.Lock()
	records := len(p.records)
	p.mu.Unlock()
	if from := c.in([]byte(p.said())); from != nil || records == 0 {
		s.Errorf("in %d records: %v", records, from)
	}
	files := 0
	for _, dir := range []string{s.tmp, s.home} { // the store among them
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			text, _ := os.ReadFile(path)
			if from := c.in(text); from != nil {
				s.Errorf("in the initiator's %s: %v", path, from)
			}
			files++
			return nil
		})
	}
	if files < 3 {
		s.Errorf("the initiator's store was not looked at: %d files", files)
	}
}

// processes looks at what every process of both sides shows: the hosts' are this machine's too.
func (s *scene) processes(p *process, c canaries) {
	s.Helper()
	asked := false // the command whose environment was to hold a secret
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		argv, _ := os.ReadFile(dir + "/cmdline")
		environ, _ := os.ReadFile(dir + "/environ")
		if from := c.in(argv); from != nil {
			s.Errorf("in the arguments of %s: %v", bytes.ReplaceAll(argv, []byte{0}, []byte(" ")), from)
		}
		from := c.in(environ)
		switch {
		case bytes.HasPrefix(argv, []byte("sleep\x0098765")):
			asked = asked || len(from) == 1 && from[0] == "cmd"
		case dir == fmt.Sprintf("/proc/%d", p.cmd.Process.Pid):
			if len(from) != 1 || from[0] != "env" {
				s.Errorf("in the initiator's environment, where only env is: %v", from)
			}
		case bytes.Equal(argv, []byte("true\x00")) && len(from) == 1 && from[0] == "cmd": // asked for as well
		case from != nil && !bytes.HasPrefix(argv, []byte("/bin/sh\x00-c\x00echo \"the token")):
			s.Errorf("in the environment of %q: %v", argv, from)
		}
	}
	if !asked {
		s.Errorf("the command that was to have a secret does not have it")
	}
}

// nest looks at every file of the host that came since the mark.
func (s *scene) nest(h *lab.Host, c canaries, running bool) {
	s.Helper()
	found := s.on(h, "sh", "-c", `find / /run /tmp /var/tmp /dev/shm -xdev -newer /srv/.mark -type f ! -path '/proc/*' ! -path '/sys/*' | sort -u`)
	secrets := 0
	for path := range strings.Lines(found) {
		path = strings.TrimSuffix(path, "\n")
		text := []byte(s.on(h, "sh", "-c", `cat "$0" 2>/dev/null || true`, path))
		from := c.in(text)
		switch {
		case strings.HasPrefix(path, "/var/lib/spore/run-") && filepath.Base(path) == "secrets.json":
			secrets += len(from)
			if mode := s.on(h, "stat", "-c", "%a", path); mode != "600\n" {
				s.Errorf("%s has mode %s", path, mode)
			}
		case len(from) == 1 && path == "/srv/"+from[0]: // as declared
			secrets++
		case from != nil:
			s.Errorf("in the host's %s: %v", path, from)
		}
	}
	if want := map[bool]int{true: 6, false: 3}[running]; secrets < want {
		s.Errorf("%d secrets were found where they belong, want %d or more: the search is not thorough", secrets, want)
	}
}

// said is all that a run has written so far.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%+v", deep(p.records))
}

// deep has what records point to printed as well.
func deep(records []view.Record) (all []any) {
	for _, r := range records {
		all = append(all, r)
		if r.Event != nil {
			all = append(all, engine.Event(*r.Event))
		}
	}
	return all
}

// text is what a run to its end writes for people.
func (s *scene) text(args ...string) ([]byte, error) {
	s.Helper()
	return s.command(append([]string{"run", "--no-input"}, args...)...).CombinedOutput()
}
