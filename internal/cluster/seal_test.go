package cluster

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/secret"
)

const sealed = "resources:\n  file:\n  - name: /etc/a\n    content: secret://env/A\n  - name: /etc/b\n    content: secret://env/B\n"

// TestSecretsAreCompared deploys a graph with secrets again and again: only what has changed is
// written, and told by its reference.
func TestSecretsAreCompared(t *testing.T) {
	s := newSite(t, "a")
	s.MarkKey = "the key of the record"
	_, recipient, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	s.up("a", recipient)
	if plan := s.plan(sealed, "a"); headings(plan) != "- file//etc/motd\n- noop/first\n- noop/second\n+ file//etc/a\n+ file//etc/b\n+ secret secret://env/A\n+ secret secret://env/B\n" {
		t.Errorf("the first is told as\n%s", headings(plan))
	} else if _, err := s.Deploy(bounded(t), plan); err != nil {
		t.Fatal(err)
	}
	if plan := s.plan(sealed, "a"); !plan.Empty() || headings(plan) != "" {
		t.Errorf("the same is told as\n%s", headings(plan))
	}
	m := s.parse(t, s.dir, sealed)
	m.Secrets["secret://env/B"] = "s3cret-other"
	plan, err := s.Plan(bounded(t), map[string]*manifest.Manifest{"a": m})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Empty() || headings(plan) != "~ secret secret://env/B\n" {
		t.Errorf("another secret is told as\n%s", headings(plan))
	}
	var shown strings.Builder
	if err := plan.Write(&shown, true, false); err != nil || strings.Contains(shown.String(), "s3cret") {
		t.Errorf("it is shown: %s (%v)", &shown, err)
	}
	stranger := s.Press
	stranger.MarkKey = ""
	plan, err = stranger.Plan(bounded(t), map[string]*manifest.Manifest{"a": s.parse(t, s.dir, sealed)})
	if err != nil || headings(plan) != "~ 2 secrets, encrypted anew: the old cannot be compared\n" {
		t.Errorf("without the key it is told as\n%s(%v)", headings(plan), err)
	}
}

// headings are the first line of each difference.
func headings(p *Plan) string {
	var b strings.Builder
	for _, h := range p.Hosts {
		for _, d := range h.Differences {
			b.WriteString(d.Sign + " " + d.What + "\n")
		}
	}
	return b.String()
}

// TestMarks has everything that a mark is to depend on change it, and nothing else.
func TestMarks(t *testing.T) {
	const reference = "secret://env/A"
	mark := func(key, host, recipient, value string) []byte {
		return Press{MarkKey: key}.marks(host, recipient, manifest.Secrets{reference: value})[reference]
	}
	all := [][]byte{
		mark("key", "host", "recipient", "value"), mark("other", "host", "recipient", "value"),
		mark("key", "other", "recipient", "value"), mark("key", "host", "other", "value"),
		mark("key", "host", "recipient", "other"), mark("key", "hostr", "ecipient", "value"),
		Press{MarkKey: "key"}.marks("host", "recipient", manifest.Secrets{"secret://env/B": "value"})["secret://env/B"],
	}
	if !bytes.Equal(all[0], mark("key", "host", "recipient", "value")) {
		t.Error("the same has another mark")
	}
	slices.SortFunc(all, bytes.Compare)
	if n := len(slices.CompactFunc(all, bytes.Equal)); n != 7 {
		t.Errorf("there are %d marks of 7 secrets", n)
	}
}

// TestSecretsThatAreNotThereYet has a graph in the store as an attached run leaves it: without them.
func TestSecretsThatAreNotThereYet(t *testing.T) {
	p := newPress(t, nil)
	p.MarkKey = "key"
	secrets := manifest.Secrets{"secret://env/A": "value"}
	got := p.secretChanges("a", "recipient", etcd.Graph{}, secrets)
	if len(got) != 1 || got[0].Sign != added {
		t.Errorf("the plan is %+v", got)
	}
	with := etcd.Graph{Secrets: []byte("x"), Marks: p.marks("a", "recipient", secrets)}
	if got := p.secretChanges("a", "recipient", with, secrets); len(got) != 0 {
		t.Errorf("the same differs: %+v", got)
	}
	if got := p.secretChanges("a", "another", with, secrets); len(got) != 1 {
		t.Errorf("nothing is encrypted for the new recipient: %+v", got)
	}
	if got := p.secretChanges("a", "", with, nil); len(got) != 1 || got[0].Sign != removed {
		t.Errorf("one that is gone: %+v of %v", got, slices.Collect(maps.Keys(with.Marks)))
	}
}
