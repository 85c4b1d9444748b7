package graph

import (
	"slices"
	"testing"
)

func same(a, b string) bool { return a == b }

func TestDiff(t *testing.T) {
	before := build(t, "a b c d e", "a>b")
	after := New[string, string, string]()
	for _, v := range []string{"e", "new", "c", "a", "newer"} {
		after.Add(v, "vertex "+v)
	}
	changed := New[string, string, string]()
	for _, k := range after.Keys() {
		v := after.Vertex(k)
		if k == "c" {
			v = "changed"
		}
		changed.Add(k, v)
	}
	d := Diff(before, changed, same)
	for what, pair := range map[string][2]string{
		"added":   {words(d.Added), "new newer"},
		"removed": {words(d.Removed), "b d"},
		"changed": {words(d.Changed), "c"},
		"kept":    {words(d.Kept), "e a"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %s, want %s", what, pair[0], pair[1])
		}
	}
	if d.Empty() {
		t.Error("the difference is called empty")
	}
}

// TestDiffOfEdges checks that edges make no difference: they belong to no vertex.
func TestDiffOfEdges(t *testing.T) {
	d := Diff(build(t, "a b", "a>b"), build(t, "a b", "b>a"), same)
	if !d.Empty() || words(d.Kept) != "a b" {
		t.Errorf("got %+v", d)
	}
}

// FuzzDiff checks that a difference, applied to the graph before, gives the vertices of the graph
// after; that nothing stands in it twice; and that it is empty only between equals.
func FuzzDiff(f *testing.F) {
	f.Add("", "")
	f.Add("a1b2c3", "a1b2c3")
	f.Add("a1b2c3", "c3b1d4")
	f.Add("a1", "")
	f.Fuzz(func(t *testing.T, one, other string) {
		before, after := parsed(one), parsed(other)
		d := Diff(before, after, same)

		vertices := map[string]string{}
		for _, k := range before.Keys() {
			vertices[k] = before.Vertex(k)
		}
		for _, k := range d.Removed {
			if _, ok := vertices[k]; !ok {
				t.Fatalf("removed %q twice, or never there", k)
			}
			delete(vertices, k)
		}
		for _, k := range d.Changed {
			if v, ok := vertices[k]; !ok || v == after.Vertex(k) {
				t.Fatalf("changed %q, which was not there or is the same", k)
			}
			vertices[k] = after.Vertex(k)
		}
		for _, k := range d.Added {
			if _, ok := vertices[k]; ok {
				t.Fatalf("added %q, which was there", k)
			}
			vertices[k] = after.Vertex(k)
		}
		if len(vertices) != after.Len() || len(d.Added)+len(d.Changed)+len(d.Kept) != after.Len() {
			t.Fatalf("got %v from %+v, want %v", vertices, d, after.Keys())
		}
		for _, k := range after.Keys() {
			if v, ok := vertices[k]; !ok || v != after.Vertex(k) {
				t.Fatalf("%q is %q, want %q", k, v, after.Vertex(k))
			}
		}
		checkOrder(t, d, before.Keys(), after.Keys())
	})
}

// checkOrder checks that the keys of a difference are in the order of the graph they are of.
func checkOrder(t *testing.T, d Delta[string], before, after []string) {
	for _, list := range []struct{ keys, order []string }{
		{d.Removed, before}, {d.Added, after}, {d.Changed, after}, {d.Kept, after},
	} {
		if !slices.IsSortedFunc(list.keys, func(a, b string) int {
			return slices.Index(list.order, a) - slices.Index(list.order, b)
		}) {
			t.Fatalf("%v is not in the order of %v", list.keys, list.order)
		}
	}
}

// parsed returns a graph of vertices whose keys and values are two characters of s each.
func parsed(s string) *Graph[string, string, string] {
	g := New[string, string, string]()
	for i := 0; i+1 < len(s); i += 2 {
		g.Add(s[i:i+1], s[i+1:i+2])
	}
	return g
}
