package manifest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"spore/engine"
)

func load(t *testing.T, file string) *Manifest {
	t.Helper()
	m, err := Load(file, options())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func parse(t *testing.T, text string) *Manifest {
	t.Helper()
	m, err := Parse(filepath.Join(t.TempDir(), "g.yaml"), []byte(text), options())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// edgesOf writes the edges of a graph for comparison: ⇒ notifies, → does not.
func edgesOf(g *engine.Graph) string {
	var words []string
	for _, k := range g.Keys() {
		for _, a := range g.Out(k) {
			arrow := "→"
			if a.Edge.Notify {
				arrow = "⇒"
			}
			words = append(words, fmt.Sprintf("%v %s %v", k, arrow, a.Key))
		}
	}
	return strings.Join(words, "\n")
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %#v\nwant %#v", what, got, want)
	}
}

// TestOldFormat reads a file with all that mgmt's format has.
func TestOldFormat(t *testing.T) {
	m := load(t, "testdata/good/old.yaml")
	equal(t, "name", m.Name, "old")
	equal(t, "program's name", m.Program.Name, "old")
	equal(t, "comment", m.Comment, "the format as it was")
	equal(t, "hostname", m.Hostname, "web-1.example:8")
	equal(t, "remotes", m.Remotes, []Remote{{"ssh://root:secret@192.0.2.1:2222", 5, 9}})
	equal(t, "order", fmt.Sprint(m.Program.Graph.Keys()), "[timer/tick noop/first file/motd exec/run]")
	equal(t, "edges", edgesOf(m.Program.Graph), "timer/tick ⇒ exec/run\nnoop/first ⇒ file/motd")
	equal(t, "collects", m.Program.Collects, []engine.Collect{{Kind: "file", Pattern: "/tmp/"}, {Kind: "exec"}})
	equal(t, "meta", m.Program.Graph.Vertex(engine.ID{Kind: "noop", Name: "first"}).Meta, engine.Meta{
		Noop: true, Retry: -1, Delay: engine.Duration(500 * time.Millisecond), Poll: engine.Duration(5 * time.Second),
		Burst: 3, Sema: []string{"lock:1", "other:42"},
	})
	hello := "hello\n"
	equal(t, "file", m.Program.Graph.Vertex(engine.ID{Kind: "file", Name: "motd"}).Spec,
		file{Path: "/etc/motd", Content: &hello, State: "exists", Mode: "0644"})
	equal(t, "exec", m.Program.Graph.Vertex(engine.ID{Kind: "exec", Name: "run"}).Spec, command{Cmd: "echo hello"})
	equal(t, "exports", m.Program.Exports, []engine.Export{{
		Kind: "file", Name: "shared", Spec: json.RawMessage(`{"path":"/tmp/shared","content":"1","state":"exists"}`),
	}})
	var warned []string
	for _, w := range m.Warnings {
		warned = append(warned, w.Message)
		if !w.Warning || w.Line == 0 || w.Hint == "" {
			t.Errorf("warning %+v", w)
		}
	}
	equal(t, "warnings", strings.Join(warned, "\n"), "noop/first: meta: autoedge has no effect\n"+
		"noop/first: meta: autogroup has no effect\nexec/run: pollint has no effect\nexec/run: state has no effect")
}

// TestNewFormat reads a file with all that was added to it.
func TestNewFormat(t *testing.T) {
	m := load(t, "testdata/good/new.yaml")
	equal(t, "name", m.Name, "new")
	equal(t, "remotes", m.Remotes, []Remote{{"root@one", 3, 3}, {"two", 4, 3}})
	equal(t, "edges", edgesOf(m.Program.Graph), strings.Join([]string{
		"noop/base → noop/top", "noop/base → file//etc/motd", "noop/top ⇒ file//etc/one",
		"file//etc/motd ⇒ exec/reload", "file//etc/motd ⇒ file//etc/one", "file//etc/one → file//etc/tree",
	}, "\n"))
	if len(m.Warnings) != 0 {
		t.Errorf("warnings: %v", m.Warnings)
	}
	meta := engine.Meta{Timeout: engine.Duration(90 * time.Second), Delay: engine.Duration(1500 * time.Microsecond)}
	meta.Poll = engine.Duration(500 * time.Millisecond)
	equal(t, "meta", m.Program.Graph.Vertex(engine.ID{Kind: "noop", Name: "base"}).Meta, meta)
	meta.Poll = engine.Duration(2 * time.Second)
	equal(t, "merged meta", m.Program.Graph.Vertex(engine.ID{Kind: "noop", Name: "top"}).Meta, meta)
	empty := ""
	equal(t, "file", m.Program.Graph.Vertex(engine.ID{Kind: "file", Name: "/etc/motd"}).Spec,
		file{Path: "/etc/motd", Content: &empty, State: "exists"})
}

// TestDecode reads every type of field, and what it read survives the way through JSON.
func TestDecode(t *testing.T) {
	text, yes, number := "0644", true, -3
	defaults := box{Int: 7, Millis: engine.Duration(250 * time.Millisecond), List: []string{"a", "b"}}
	for _, c := range []struct {
		yaml string
		want func(*box)
	}{
		{"", func(*box) {}},
		{"string: ~\n    maybe:\n    int: null\n    list: ~", func(*box) {}},
		{"string: 0644", func(b *box) { b.String = "0644" }},
		{"string: 1", func(b *box) { b.String = "1" }},
		{"string: true", func(b *box) { b.String = "true" }},
		{"string: 'null'", func(b *box) { b.String = "null" }},
		{"string: 2001-01-01", func(b *box) { b.String = "2001-01-01" }},
		{"string: !!str 5", func(b *box) { b.String = "5" }},
		{"string: |\n      a\n      b\n", func(b *box) { b.String = "a\nb\n" }},
		{"maybe: 0644", func(b *box) { b.Maybe = &text }},
		{"maybe: ''", func(b *box) { b.Maybe = new(string) }},
		{"bool: yes", func(b *box) { b.Bool = true }},
		{"bool: On", func(b *box) { b.Bool = true }},
		{"maybool: true", func(b *box) { b.MayBool = &yes }},
		{"maybool: no", func(b *box) { b.MayBool = new(bool) }},
		{"int: 0x1f", func(b *box) { b.Int = 31 }},
		{"int: 0", func(b *box) { b.Int = 0 }},
		{"small: -128", func(b *box) { b.Small = -128 }},
		{"mayint: -3", func(b *box) { b.MayInt = &number }},
		{"float: 1", func(b *box) { b.Float = 1 }},
		{"float: -2.5e3", func(b *box) { b.Float = -2500 }},
		{"millis: 5", func(b *box) { b.Millis = engine.Duration(5 * time.Millisecond) }},
		{"millis: '5'", func(b *box) { b.Millis = engine.Duration(5 * time.Millisecond) }},
		{"millis: 0.5", func(b *box) { b.Millis = engine.Duration(500 * time.Microsecond) }},
		{"millis: 1h2m", func(b *box) { b.Millis = engine.Duration(62 * time.Minute) }},
		{"list: []", func(b *box) { b.List = nil }},
		{"map: {}", func(*box) {}},
		{"list: [1, 'x y', yes]", func(b *box) { b.List = []string{"1", "x y", "yes"} }},
		{"map: {a: 1, b: ~, 3: c}", func(b *box) { b.Map = map[string]string{"a": "1", "b": "", "3": "c"} }},
		{"choice: right", func(b *box) { b.Choice = "right" }},
		{"choice: ''", func(*box) {}},
		{"&x string: a\n    maybe: *x", func(b *box) { b.String = "a"; s := "string"; b.Maybe = &s }},
		{"string: &x 0644\n    maybe: *x", func(b *box) { b.String = "0644"; b.Maybe = &text }},
	} {
		t.Run(c.yaml, func(t *testing.T) {
			m := parse(t, "resources:\n  box:\n  - name: b\n    "+c.yaml)
			want := defaults
			c.want(&want)
			got := m.Program.Graph.Vertex(engine.ID{Kind: "box", Name: "b"}).Spec
			equal(t, "spec", got, want)

			text, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			back, err := testKinds()["box"].DecodeJSON(text)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "through JSON", back, got)
		})
	}
}
