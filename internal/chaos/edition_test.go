package chaos

import (
	"maps"
	"os"
	"slices"
	"testing"
)

var two = []string{"a", "b"}

func TestEdition(t *testing.T) {
	e := edition{number: 17, epoch: 1}
	if e.passes(two, "a") || !e.passes(two, "b") {
		t.Error("another host than b exports for now")
	}
	next := edition{number: 18, epoch: 2}
	if !next.passes(two, "a") || next.passes(two, "b") {
		t.Error("the next epoch changes nothing")
	}
	if got := e.withdrawn(two); !slices.Equal(got, []string{"/srv/passing-a"}) {
		t.Errorf("withdrawn: %q", got)
	}
	want := map[string]string{
		"/srv/own":       "a alone: 17\n",
		"/srv/shared-a":  "from a: 17\n",
		"/srv/shared-b":  "from b: 17\n",
		"/srv/passing-b": "from b for now: 17\n",
	}
	if have := e.files(two, "a"); !maps.Equal(have, want) {
		t.Errorf("files: %q", have)
	}
	if !isOwn(want["/srv/own"], "a") || isOwn("somebody else\n", "a") || isOwn("", "a") {
		t.Error("somebody else's file is taken for the host's own, or the other way round")
	}
}

func TestGraphFiles(t *testing.T) {
	paths, err := edition{number: 3, epoch: 1}.save(t.TempDir(), two)
	if err != nil || len(paths) != 2 {
		t.Fatal(paths, err)
	}
	text, err := os.ReadFile(paths[1])
	if err != nil {
		t.Fatal(err)
	}
	const want = `graph: b
remote: b
resources:
  file:
  - name: /srv/own
    content: "b alone: 3\n"
  - name: "@@shared-b"
    path: /srv/shared-b
    content: "from b: 3\n"
  - name: "@@passing-b"
    path: /srv/passing-b
    content: "from b for now: 3\n"
collect:
- kind: file
  pattern: /srv/
`
	if string(text) != want {
		t.Errorf("the graph is\n%s", text)
	}
}
