package resources_test

import (
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"spore/engine"
	"spore/engine/manifest"
	"spore/internal/fswatch"
	"spore/resources"
	"spore/resources/exec"
	"spore/resources/kv"
	"spore/resources/msg"
	"spore/resources/noop"
	"spore/resources/print"
	"spore/resources/timer"
)

// Fields as mgmt's graph files have them, numbers for words and empty strings among them. What has
// no effect is not taken into the specs, and what is absent has its default there.
const graphFile = `
graph: all kinds
resources:
  timer:
  - name: timer1
    interval: 3
  exec:
  - name: exec1
    cmd: echo hello world
    shell: ''
    timeout: 10
    watchcmd: ''
    watchshell: ''
    ifcmd: 'true'
    ifshell: ''
    pollint: 0
    state: present
  - name: echo
    args: [a, "b c", 3]
    env: {A: b, N: 1}
  kv:
  - name: hello
    value: 5
    skiplessthan: true
    skipcmpstyle: 0
  - name: gone
    state: absent
  msg:
  - name: msg1
    body: a message
    journal: true
    priority: Info
    fields: {unit: web}
  print:
  - name: hello
  noop:
  - name: noop1
    comment: nothing
edges:
- name: e1
  from: {kind: timer, name: timer1}
  to: {kind: exec, name: exec1}
`

func TestGraphFilesReachTheSpecs(t *testing.T) {
	hub := fswatch.New(slog.New(slog.DiscardHandler))
	defer hub.Close()
	m, err := manifest.Parse("graph.yaml", []byte(graphFile), manifest.Options{Kinds: resources.Kinds(hub)})
	if err != nil {
		t.Fatal(err)
	}
	want := map[engine.ID]engine.Spec{
		{Kind: "timer", Name: "timer1"}: timer.Spec{Interval: engine.Duration(3 * time.Second)},
		{Kind: "exec", Name: "exec1"}: exec.Spec{
			Cmd: "echo hello world", Timeout: engine.Duration(10 * time.Second), IfCmd: "true", Cwd: "/",
		},
		{Kind: "exec", Name: "echo"}: exec.Spec{
			Cmd: "echo", Cwd: "/", Args: []string{"a", "b c", "3"}, Env: map[string]string{"A": "b", "N": "1"},
		},
		{Kind: "kv", Name: "hello"}: kv.Spec{Key: "hello", Value: new("5"), SkipLessThan: true, SkipCmpStyle: "0"},
		{Kind: "kv", Name: "gone"}:  kv.Spec{Key: "gone", State: "absent", SkipCmpStyle: "int"},
		{Kind: "msg", Name: "msg1"}: msg.Spec{
			Body: "a message", Priority: "Info", Journal: true, Fields: map[string]string{"unit": "web"},
		},
		{Kind: "print", Name: "hello"}: print.Spec{Msg: "hello"},
		{Kind: "noop", Name: "noop1"}:  noop.Spec{Comment: "nothing"},
	}
	g := m.Program.Graph
	if g.Len() != len(want) {
		t.Errorf("found %v", g.Keys())
	}
	for id, spec := range want {
		if got := g.Vertex(id).Spec; !reflect.DeepEqual(got, spec) {
			t.Errorf("%v is\n\t%#v, want\n\t%#v", id, got, spec)
		}
	}
}

func TestAFileWithoutAnAbsolutePathIsAMistake(t *testing.T) {
	hub := fswatch.New(slog.New(slog.DiscardHandler))
	defer hub.Close()
	for _, text := range []string{"{name: motd}", "{name: motd, path: etc/motd}", "{name: motd, path: ./}", "{name: a, basename: b}"} {
		_, err := manifest.Parse("graph.yaml", []byte("resources: {file: ["+text+"]}"), manifest.Options{Kinds: resources.Kinds(hub)})
		if err == nil || !strings.Contains(err.Error(), "absolute") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
