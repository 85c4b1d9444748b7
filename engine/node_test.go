package engine

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

var awkward = []ID{
	{Kind: "file", Name: "/etc/motd"},
	{Kind: "file", Name: "/etc/motd", From: "h"},
	{Kind: "file", Name: "/etc/motd (from h)"},
	{Kind: "file", Name: "a (from b) (from c)", From: "d (from e)"},
	{Kind: "exec", Name: "(from x)"},
	{Kind: "exec", Name: " (from x)"},
	{Kind: "exec", Name: "a/b//c/"},
	{Kind: "exec", Name: "", From: ""},
	{Kind: "msg", Name: "\"quoted\"\n<&> ü"},
}

func TestIDsSurviveJSON(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range awkward {
		text, err := json.Marshal(Event{Resource: id})
		if err != nil {
			t.Fatal(err)
		}
		var got Event
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.Resource != id {
			t.Errorf("%#v became %#v by way of %s", id, got.Resource, text)
		}
		if seen[string(text)] {
			t.Errorf("%s is ambiguous", text)
		}
		seen[string(text)] = true
	}
}

func TestIDsForPeople(t *testing.T) {
	for id, want := range map[ID]string{
		{Kind: "file", Name: "/etc/motd"}:            "file//etc/motd",
		{Kind: "exec", Name: "hello", From: "web-1"}: "exec/hello (from web-1)",
	} {
		if got := id.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestPrivateDirectories(t *testing.T) {
	r := NewRunner(Config{Dir: "/var/lib/spore"})
	seen := map[string]ID{}
	for _, id := range awkward {
		w := &worker{runner: r, node: Node{ID: id}}
		dir := w.dir()
		if other, dup := seen[dir]; dup {
			t.Errorf("%#v and %#v share %s", id, other, dir)
		}
		seen[dir] = id
		if dir != w.dir() || filepath.Dir(dir) != "/var/lib/spore/resources" {
			t.Errorf("%#v has directory %s", id, dir)
		}
	}
}

func TestDurationsSurviveJSON(t *testing.T) {
	in := Meta{Delay: 1500e6, Poll: 90e9}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"delay":"1.5s","poll":"1m30s"}`; string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
	var out Meta
	if err := json.Unmarshal(text, &out); err != nil || out.Delay != in.Delay || out.Poll != in.Poll {
		t.Errorf("got %+v, %v", out, err)
	}
}
