package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spore/internal/lab"
)

// A scene is one test's: hosts that nobody else uses, and directories of the initiator's machine.
// When the test ends, both have to be as they were.
type scene struct {
	*testing.T
	*ground
	hosts  []*lab.Host
	graphs string   // where the initiator's graph files are
	home   string   // of who starts spore
	tmp    string   // that person's TMPDIR
	env    []string // further variables of that person's
	ours   []string
}

// kept is what may stay on a host: the cache, what graphs declare, which is all in /srv, and the
// configuration that a test gave to sshd.
var kept = []string{"/var/lib/spore$", "/var/lib/spore/cache/", "/srv/", "/etc/ssh/sshd_config.d/", "/run/sshd.pid"}

// play sets a scene of n hosts. ours are further prefixes of paths on the hosts that are the
// test's own.
func play(t *testing.T, n int, ours ...string) *scene {
	t.Helper()
	t.Parallel()
	g := enter(t)
	s := &scene{T: t, ground: g, hosts: g.take(n), ours: ours}
	t.Cleanup(func() { g.give(s.hosts) })
	s.furnish()
	for _, h := range s.hosts {
		before, err := h.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.clean(h, before) })
	}
	t.Cleanup(func() { s.tidy() })
	return s
}

// furnish makes the scene's directories.
func (s *scene) furnish() {
	s.Helper()
	dir, err := os.MkdirTemp("", "spore-e2e-") // short: there will be sockets in it
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	for name, path := range map[string]*string{"graphs": &s.graphs, "home": &s.home, "tmp": &s.tmp} {
		*path = filepath.Join(dir, name)
		if err := os.Mkdir(*path, 0o700); err != nil {
			s.Fatal(err)
		}
	}
}

// clean checks that the host is what it was, and makes it so for the next test.
func (s *scene) clean(h *lab.Host, before lab.Snapshot) {
	if !h.Running() { // the test has ended it
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if s.Failed() { // what is left then is of no interest
		s.wipe(h)
		return
	}
	var left []string
	err := until(ctx, func() (bool, error) {
		after, err := h.Snapshot(ctx)
		if err != nil {
			return false, err
		}
		left = before.Diff(after, append(s.ours, kept...)...)
		return len(left) == 0, nil
	})
	if err != nil {
		s.Errorf("left on host %s (%v):\n%s", h.Name, err, strings.Join(left, "\n"))
	}
	s.wipe(h)
}

// wipe takes away what a test has left on a host, as it should or not.
func (s *scene) wipe(h *lab.Host) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	const script = "pkill -9 -x spore; rm -rf /srv/* /srv/.[!.]* /var/lib/spore/run-*"
	if _, err := h.Run(ctx, "sh", "-c", script); err != nil {
		s.Error(err)
	}
}

// tidy checks that nothing is left of the initiators but what ssh remembers.
func (s *scene) tidy() {
	for _, dir := range []string{s.tmp, s.home} {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && path != dir && !strings.HasPrefix(path, filepath.Join(s.home, ".ssh")) {
				s.Errorf("left by the initiator: %s", path)
			}
			return err
		})
	}
}

// until calls done until it is, or fails, or ctx ends: often at first, and less so when it takes long.
func until(ctx context.Context, done func() (bool, error)) error {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.New("waited for too long")
		case <-time.After(pause):
		}
	}
}

// await waits until done is true.
func (s *scene) await(what string, done func() bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	if err := until(ctx, func() (bool, error) { return done(), nil }); err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

// save writes a graph file, or what belongs to one, as editors do: under another name first.
func (s *scene) save(name, text string) string {
	s.Helper()
	path := filepath.Join(s.graphs, name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path+"~", []byte(text), 0o600)
	}
	if err == nil {
		err = os.Rename(path+"~", path)
	}
	if err != nil {
		s.Fatal(err)
	}
	return path
}

// graph is a graph for the address: a file of its own, one that it exports, and all that is exported.
func graph(address, name, words string) string {
	return fmt.Sprintf(`graph: %[2]s
remote: %[1]s
resources:
  file:
  - name: /srv/own
    content: "%[2]s alone: %[3]s\n"
  - name: "@@shared-%[2]s"
    path: /srv/shared-%[2]s
    content: "from %[2]s: %[3]s\n"
collect:
- kind: file
  pattern: /srv/
`, address, name, words)
}

// pair saves the graphs of the scene's first two hosts and returns the arguments that name them.
func (s *scene) pair(words string) []string {
	s.Helper()
	var args []string
	for _, h := range s.hosts[:2] {
		args = append(args, "--remote", s.save(h.Name+".yaml", graph(h.Name, h.Name, words)))
	}
	return args
}

// read returns what is in a host's file; nothing if there is none.
func read(h *lab.Host, path string) string {
	text, _ := os.ReadFile(filepath.Join(h.Root(), path))
	return string(text)
}

// write is somebody else's hand on a host.
func (s *scene) write(h *lab.Host, path, text string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(h.Root(), path), []byte(text), 0o644); err != nil {
		s.Fatal(err)
	}
}

// holds waits until the host's file has the text in it.
func (s *scene) holds(h *lab.Host, path, text string) {
	s.Helper()
	s.await(fmt.Sprintf("host %s: %q in %s", h.Name, text, path), func() bool { return strings.Contains(read(h, path), text) })
}

// exchanged checks that each of the scene's first two hosts has what both export, at this moment.
func (s *scene) exchanged(words string) {
	s.Helper()
	for _, h := range s.hosts[:2] {
		if want := h.Name + " alone: " + words + "\n"; read(h, "/srv/own") != want {
			s.Errorf("host %s: /srv/own holds %q, want %q", h.Name, read(h, "/srv/own"), want)
		}
		for _, from := range s.hosts[:2] {
			path, want := "/srv/shared-"+from.Name, "from "+from.Name+": "+words+"\n"
			if got := read(h, path); got != want {
				s.Errorf("host %s: %s holds %q, want %q", h.Name, path, got, want)
			}
		}
	}
}

// on runs a command on a host and returns what it prints.
func (s *scene) on(h *lab.Host, argv ...string) string {
	s.Helper()
	out, err := h.Run(s.Context(), argv...)
	if err != nil {
		s.Fatal(err)
	}
	return string(out)
}

// agents returns the process ids of the agents on a host, and of nothing else of ours.
func (s *scene) agents(h *lab.Host) []string {
	s.Helper()
	return strings.Fields(s.on(h, "sh", "-c", "pgrep -f '^[^ ]*/spore run ' || true"))
}

// cut takes a host off the network, until heal or the end of the test.
func (s *scene) cut(h *lab.Host) {
	s.Helper()
	s.Cleanup(func() { _ = h.Heal(context.Background()) })
	if err := h.Cut(s.Context()); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) heal(h *lab.Host) {
	s.Helper()
	if err := h.Heal(s.Context()); err != nil {
		s.Fatal(err)
	}
}

// sshd gives a host these lines of sshd_config until the end of the test.
func (s *scene) sshd(h *lab.Host, lines ...string) {
	s.Helper()
	if err := h.SSHD(s.Context(), lines...); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := h.SSHD(context.Background()); err != nil {
			s.Error(err)
		}
	})
}
