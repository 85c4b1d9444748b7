package cluster

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/fswatch"
	"spore/resources"
)

// newPress returns a press of all kinds, for graphs of a test.
func newPress(t *testing.T, store *etcd.Store) Press {
	t.Helper()
	hub := fswatch.New(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { hub.Close() })
	return Press{Store: store, Kinds: resources.Kinds(hub)}
}

// parse understands a graph of a test; what secret://env/ refers to is "s3cret-" and its name.
func (p Press) parse(t *testing.T, dir, text string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Parse(filepath.Join(dir, "site.yaml"), []byte(text), manifest.Options{
		Kinds: p.Kinds, Secrets: func(_, reference string) (string, error) {
			return "s3cret-" + reference[strings.LastIndex(reference, "/")+1:], nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const motd = `resources:
  file:
  - name: /etc/motd
    content: hello
  noop:
  - name: first
  - name: second
`

// TestPlanOfOneHost compares graphs and how that is told. The wanted text is without the indentation
// of the whole.
func TestPlanOfOneHost(t *testing.T) {
	p := newPress(t, nil)
	p.MarkKey = "key"
	edit := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(motd) }
	tests := map[string]struct{ old, next, want string }{
		"nothing":  {motd, motd, "no difference: nothing is written"},
		"comments": {motd, "# by hand\n" + motd, "~ text, as in comments or order"},
		"the first": {"", motd, `its first graph, or one in place of one that this version cannot read
			+ file//etc/motd
			+ noop/first
			+ noop/second`},
		"a field": {motd, edit("hello", "good day"), `~ file//etc/motd
			    content: hello → good day`},
		"a new field": {motd, edit("content: hello", "content: hello\n    mode: '0644'"), `~ file//etc/motd
			    mode: (none) → 0644`},
		"an empty content": {motd, edit("hello", `""`), `~ file//etc/motd
			    content: hello → ""`},
		"lines": {motd, edit("hello", `"a\nb\nc\n"`), `~ file//etc/motd
			    content: hello → (3 lines)
			      --- store
			      +++ new
			      @@ -1 +1,3 @@
			      -hello
			      +a
			      +b
			      +c`},
		"what not everybody may read": {motd, edit("content: hello", "content: other\n    mode: '0600'"), `~ file//etc/motd
			    content: ******** → ********
			    mode: (none) → 0600`},
		"what would steer a terminal": {motd, edit("hello", `"\e[2J"`), `~ file//etc/motd
			    content: hello →`},
		"come and go": {motd, edit("name: second", "name: third"), `- noop/second
			+ noop/third`},
		"meta": {motd, edit("name: second", "name: second\n    meta: {retry: 3}"), `~ noop/second
			    meta.retry: (none) → 3`},
		"an edge": {motd, edit("name: second", "name: second\n    require: noop/first"), `+ edge noop/first → noop/second`},
		"an edge that notifies": {edit("name: second", "name: second\n    require: noop/first"),
			edit("name: first", "name: first\n    notify: noop/second"), `~ edge noop/first → noop/second
			    notify: false → true`},
		"edges of what comes": {motd, edit("name: second", "name: second\n  - name: third\n    require: noop/first"), `+ noop/third`},
		"an export": {motd, edit("name: /etc/motd", "name: '@@motd'\n    path: /etc/motd"), `- file//etc/motd
			+ export file/motd`},
		"a changed export": {edit("name: /etc/motd", "name: '@@motd'\n    path: /etc/motd"),
			edit("name: /etc/motd", "name: '@@motd'\n    path: /etc/motd", "hello", "there"), `~ export file/motd
			    content: hello → there`},
		"collects": {motd + "collect:\n- kind: file\n  pattern: /a/\n", motd + "collect:\n- kind: file\n  pattern: /b/\n",
			"- collect file /a/\n+ collect file /b/"},
		"secrets": {edit("hello", "secret://env/A"), edit("hello", "secret://env/B"), `~ file//etc/motd
			    content: ******** → ********
			- secret secret://env/A
			+ secret secret://env/B`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var old *manifest.Manifest
			var g etcd.Graph
			if tt.old != "" {
				full := p.parse(t, dir, tt.old)
				g = etcd.Graph{Name: full.Name, Text: string(full.Travels), Files: full.Digest(), Marks: p.marks("a", "", full.Secrets)}
				var err error
				if old, err = manifest.Parse(full.File, full.Travels, manifest.Options{Kinds: p.Kinds}); err != nil {
					t.Fatal(err)
				}
			}
			h, err := p.planHost("a", "", old, p.parse(t, dir, tt.next), g)
			if err != nil {
				t.Fatal(err)
			}
			want := "  " + strings.ReplaceAll(tt.want, "\n\t\t\t", "\n") + "\n"
			want = strings.ReplaceAll(strings.ReplaceAll(want, "\n", "\n  "), "\n  \n", "\n")
			want = strings.TrimSuffix(want, "  ")
			if got := h.render(true, false); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if strings.Contains(h.render(true, true), "s3cret") {
				t.Error("a secret is shown")
			}
		})
	}
}

func TestPlanOfWhatTravels(t *testing.T) {
	p, dir := newPress(t, nil), t.TempDir()
	const text = "resources:\n  file:\n  - name: /etc/a.conf\n    source: a.conf\n"
	write := func(content string) {
		if err := os.WriteFile(filepath.Join(dir, "a.conf"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	// What the store holds is unpacked elsewhere.
	moved := t.TempDir()
	if err := os.Rename(filepath.Join(dir, "a.conf"), filepath.Join(moved, "a.conf")); err != nil {
		t.Fatal(err)
	}
	old := p.parse(t, moved, text)
	write("old")
	if same := differences(old, p.parse(t, dir, text), p.Kinds); len(same) != 0 {
		t.Errorf("what lies elsewhere differs: %+v", same)
	}
	write("and new")
	next := p.parse(t, dir, text)
	h, err := p.planHost("a", "", old, next, etcd.Graph{Name: old.Name, Text: text, Files: old.Digest(), Bundle: "b"})
	if err != nil {
		t.Fatal(err)
	}
	const want = `  ~ file//etc/a.conf
      what travels with it
  ~ travels a.conf
      content: 3 B → 7 B
`
	if got := h.render(true, false); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestHostsWithTheSamePlanAreToldTogether(t *testing.T) {
	change := []Difference{{Sign: added, What: "noop/x"}}
	plan := &Plan{Hosts: []HostPlan{
		{Host: "a", Written: true, Differences: change},
		{Host: "b"},
		{Host: "c", Written: true, Differences: change, Down: true},
		{Host: "d\x1b[2J", Down: true},
	}}
	var b strings.Builder
	if err := plan.Write(&b, false, false); err != nil {
		t.Fatal(err)
	}
	const want = `a, c (down: it takes this when it returns)
  + noop/x
b, d
  no difference: nothing is written
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}
