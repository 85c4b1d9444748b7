package manifest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"spore/engine"
)

const secretGraph = `graph: s
resources:
  file:
  - name: /a
    content: secret://env/A
  - name: /b
    content: plain
  - name: /c
    content: secret://env/A
`

func TestReferencesAreLeftAlone(t *testing.T) {
	m, err := Parse("s.yaml", []byte(secretGraph), options())
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Secrets) != 0 {
		t.Errorf("%d secrets were found", len(m.Secrets))
	}
	for name, want := range map[string]bool{"/a": true, "/b": false, "/c": true} {
		n := m.Program.Graph.Vertex(engine.ID{Kind: "file", Name: name})
		if n.Sensitive != want {
			t.Errorf("%s: sensitive is %v", name, n.Sensitive)
		}
	}
}

func TestReferencesAreReplaced(t *testing.T) {
	o := options()
	o.Secrets = func(dir, reference string) (string, error) { return dir + ": " + reference, nil }
	m, err := Parse("/etc/s.yaml", []byte(secretGraph), o)
	if err != nil {
		t.Fatal(err)
	}
	spec := m.Program.Graph.Vertex(engine.ID{Kind: "file", Name: "/a"}).Spec.(file)
	if spec.Content == nil || *spec.Content != "/etc: secret://env/A" {
		t.Errorf("got %+v", spec)
	}
	if len(m.Secrets) != 1 || m.Secrets["secret://env/A"] != "/etc: secret://env/A" {
		t.Errorf("got %v", m.Secrets)
	}
	if text := fmt.Sprintf("%v %+v %#v", m.Secrets, m.Secrets, m.Secrets); strings.Contains(text, "/etc") {
		t.Errorf("printed as %s", text)
	}
}

func TestASecretThatCannotBeHad(t *testing.T) {
	o := options()
	o.Secrets = func(string, string) (string, error) { return "", errors.New("the safe is locked") }
	_, err := Parse("s.yaml", []byte(secretGraph), o)
	if err == nil || !strings.Contains(err.Error(), "s.yaml:5:14: ") || !strings.Contains(err.Error(), "the safe is locked") {
		t.Errorf("got %v", err)
	}
}

func TestASecretIsNotExported(t *testing.T) {
	text := strings.ReplaceAll(secretGraph, "name: /a", `name: "@@/a"`)
	_, err := Parse("s.yaml", []byte(text), options())
	if err == nil || !strings.Contains(err.Error(), "cannot be exported") {
		t.Errorf("got %v", err)
	}
}
