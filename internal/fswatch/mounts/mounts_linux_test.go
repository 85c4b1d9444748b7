package mounts

import (
	"slices"
	"testing"
)

func TestList(t *testing.T) {
	points, err := List()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(points, "/proc") {
		t.Errorf("/proc is not among %v", points)
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`/plain`: "/plain", `/a\040b`: "/a b", `/a\134b`: `/a\b`, `\011\012`: "\t\n", `/a\0`: `/a\0`, `/a\999`: `/a\999`,
	} {
		if got := unescape(in); got != want {
			t.Errorf("unescape(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDifference(t *testing.T) {
	before := map[string]string{"1 /a": "/a", "2 /b": "/b"}
	after := map[string]string{"2 /b": "/b", "3 /c": "/c"}
	got := difference(before, after)
	slices.Sort(got)
	if !slices.Equal(got, []string{"/a", "/c"}) {
		t.Errorf("got %v", got)
	}
}
