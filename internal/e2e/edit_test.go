package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spore/internal/view"
)

// TestLiveEdit saves graphs while they run: b's changes both hosts, and what is wrong changes none.
func TestLiveEdit(t *testing.T) {
	s := play(t, 2)
	a, b := s.hosts[0], s.hosts[1]
	p := s.start(s.pair("first")...)
	p.converged()
	s.exchanged("first")
	agents := s.agents(a)[0] + s.agents(b)[0]

	s.save(b.Name+".yaml", graph(b.Name, b.Name, "second"))
	s.holds(b, "/srv/own", "second")
	s.holds(a, "/srv/shared-"+b.Name, "second")
	p.converged()

	file := s.save(b.Name+".yaml", "graph: broken\nremote: "+b.Name+"\nresources:\n  file:\n  - name: /srv/own\n    contant: typing error\n")
	refused := p.says("", "edit refused")
	if want := file + ":6:5"; !strings.Contains(refused.Attrs["err"], want) || !strings.Contains(refused.Attrs["err"], "contant: typing error") {
		t.Errorf("the refusal does not show %s and the line:\n%s", want, refused.Attrs["err"])
	}
	s.holds(b, "/srv/own", "second")
	s.write(b, "/srv/own", "somebody else")
	s.holds(b, "/srv/own", b.Name+" alone: second") // the last good graph is kept, not just left

	s.save(b.Name+".yaml", strings.Replace(graph(b.Name, b.Name, "third"), "/srv/own", "/srv/new", 1))
	s.holds(b, "/srv/new", "third")
	s.holds(a, "/srv/shared-"+b.Name, "third")
	p.converged()
	if got := s.agents(a)[0] + s.agents(b)[0]; got != agents {
		t.Errorf("the agents are others than before the edits")
	}
	recaps := p.stop()
	for _, h := range s.hosts {
		if r := state(t, recaps, h.Name, view.StateConverged); r.OK != 3 {
			t.Errorf("host %s: recap %+v after the edits, want 3 ok", h.Name, r.Counts)
		}
	}
}

// TestSourceTree has files travel with a graph: at the start, when they are edited, and when they go.
func TestSourceTree(t *testing.T) {
	s := play(t, 1)
	h := s.hosts[0]
	s.save("site/index.html", "welcome\n")
	s.save("site/sub/deep.txt", "deep\n")
	s.save("site/bin/tool", "#!/bin/sh\n")
	for _, err := range []error{
		os.Chmod(filepath.Join(s.graphs, "site/bin/tool"), 0o755),
		os.Mkdir(filepath.Join(s.graphs, "site/empty"), 0o755),
		os.Symlink("index.html", filepath.Join(s.graphs, "site/link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	file := s.save("site.yaml", fmt.Sprintf(`graph: site
remote: %s
resources:
  file:
  - name: /srv/site/
    source: site/
    recurse: true
    purge: true
`, h.Name))
	p := s.start("--remote", file)
	p.converged()
	if got := read(h, "/srv/site/index.html") + read(h, "/srv/site/sub/deep.txt"); got != "welcome\ndeep\n" {
		t.Errorf("the tree has not come: %q", got)
	}
	want := "755 tool\n"
	if got := s.on(h, "sh", "-c", "cd /srv/site/bin && stat -c '%a %n' tool"); got != want {
		t.Errorf("mode of a source: %q, want %q", got, want)
	}
	if got := s.on(h, "sh", "-c", "cd /srv/site && readlink link && ls -d empty"); got != "index.html\nempty\n" {
		t.Errorf("links and empty directories of the source: %q", got)
	}

	s.save("site/index.html", "welcome back\n")
	s.holds(h, "/srv/site/index.html", "welcome back\n")
	s.save("site/sub/more/new.txt", "new\n")
	s.holds(h, "/srv/site/sub/more/new.txt", "new\n")
	if err := os.RemoveAll(filepath.Join(s.graphs, "site/sub")); err != nil {
		t.Fatal(err)
	}
	s.await("what went from the source goes from the host", func() bool {
		return s.on(h, "sh", "-c", "find /srv/site -path '*sub*' | wc -l") == "0\n"
	})
	s.write(h, "/srv/site/foreign", "not declared\n")
	s.await("what is not in the source is purged", func() bool { return read(h, "/srv/site/foreign") == "" })
	s.write(h, "/srv/site/index.html", "defaced\n")
	s.holds(h, "/srv/site/index.html", "welcome back\n")
	state(t, p.stop(), h.Name, view.StateConverged)
	p.quiet()
}

// TestEditRights has edits bring exports and collections that the hosts, and their rights in the
// store, did not begin with, and take them away again.
func TestEditRights(t *testing.T) {
	s := play(t, 2)
	a, b := s.hosts[0], s.hosts[1]
	plain := func(h string) string {
		return "graph: plain\nremote: " + h + "\nresources:\n  file:\n  - name: /srv/plain\n    content: plain\n"
	}
	p := s.start("--remote", s.save(a.Name+".yaml", plain(a.Name)), "--remote", s.save(b.Name+".yaml", plain(b.Name)))
	p.converged()
	s.pair("first")
	s.holds(a, "/srv/shared-"+b.Name, "first")
	s.holds(b, "/srv/shared-"+a.Name, "first")
	p.converged()
	s.exchanged("first")

	s.save(a.Name+".yaml", plain(a.Name)) // exports nothing any more, and lets b's go
	s.await("host "+b.Name+" lets go of what is not exported any more", func() bool {
		s.on(b, "rm", "-f", "/srv/shared-"+a.Name)
		for range 5 { // repairs of what is still kept: by then the other would be back as well
			s.write(b, "/srv/own", "somebody else")
			s.holds(b, "/srv/own", b.Name+" alone: first")
		}
		return read(b, "/srv/shared-"+a.Name) == ""
	})
	// One more edit, so that the next convergence is one that comes after the last repair.
	s.save(a.Name+".yaml", plain(a.Name)+"  - name: /srv/last\n    content: last\n")
	p.await("the last file", func(r view.Record) bool {
		return r.Host == a.Name && r.Event != nil && r.Event.Resource.Name == "/srv/last"
	})
	p.converged()
	recaps := p.stop()
	if r := state(t, recaps, a.Name, view.StateConverged); r.OK != 2 {
		t.Errorf("host %s: recap %+v, want 2 ok", a.Name, r.Counts)
	}
	if r := state(t, recaps, b.Name, view.StateConverged); r.OK != 2 {
		t.Errorf("host %s: recap %+v, want 2 ok", b.Name, r.Counts)
	}
	p.quiet()
}
