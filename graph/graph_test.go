package graph

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// build makes a graph of vertices named by the words of keys, in that order, and of edges written
// as "a>b", each carrying itself.
func build(t testing.TB, keys, edges string) *Graph[string, string, string] {
	t.Helper()
	g := New[string, string, string]()
	for _, k := range strings.Fields(keys) {
		if !g.Add(k, "vertex "+k) {
			t.Fatalf("add %s twice", k)
		}
	}
	for _, e := range strings.Fields(edges) {
		from, to, _ := strings.Cut(e, ">")
		if !g.Connect(from, to, e) {
			t.Fatalf("connect %s", e)
		}
	}
	return g
}

func words(keys []string) string { return strings.Join(keys, " ") }

func TestSort(t *testing.T) {
	for _, c := range []struct{ name, keys, edges, want string }{
		{"empty", "", "", ""},
		{"one", "a", "", "a"},
		{"as added without edges", "c a b", "", "c a b"},
		{"as added with edges that agree", "a b c", "a>b b>c", "a b c"},
		{"against the order added", "a b c", "c>b b>a", "c b a"},
		{"only as far as needed", "a b c d", "d>b", "a d b c"},
		{"diamond", "top left right bottom", "top>left top>right left>bottom right>bottom", "top left right bottom"},
		{"diamond reversed", "a b c d", "d>c d>b c>a b>a", "d b c a"},
		{"whatever the order of the edges", "c a b", "b>c a>c", "a b c"},
		{"doubled edge", "a b", "b>a b>a", "b a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := build(t, c.keys, c.edges).Sort()
			if err != nil || words(got) != c.want {
				t.Errorf("got %v, %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestCycle(t *testing.T) {
	for _, c := range []struct{ name, keys, edges, want string }{
		{"self", "a b", "a>a", "cycle: a → a"},
		{"two", "a b", "a>b b>a", "cycle: a → b → a"},
		{"three", "a b c", "a>b b>c c>a", "cycle: a → b → c → a"},
		{"with a tail before", "x y a b", "x>y y>a a>b b>a", "cycle: a → b → a"},
		{"with a tail behind", "x y a b", "a>b b>a b>y y>x", "cycle: b → a → b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := build(t, c.keys, c.edges)
			order, err := g.Sort()
			cycle, ok := errors.AsType[*CycleError[string]](err)
			if order != nil || !ok || cycle.Error() != c.want {
				t.Fatalf("got %v, %v, want %s", order, err, c.want)
			}
			checkPath(t, g, cycle.Path)
		})
	}
}

// checkPath checks that a cycle is one: along edges, back to where it began, no vertex twice.
func checkPath(t testing.TB, g *Graph[string, string, string], path []string) {
	t.Helper()
	if len(path) < 2 || path[0] != path[len(path)-1] {
		t.Fatalf("path %v is not closed", path)
	}
	for i, k := range path[1:] {
		if !slices.ContainsFunc(g.Out(path[i]), func(a Arc[string, string]) bool { return a.Key == k }) {
			t.Errorf("path %v: there is no edge from %s to %s", path, path[i], k)
		}
		if slices.Index(path[1:], k) != i {
			t.Errorf("path %v: %s stands twice", path, k)
		}
	}
}

func TestAddAndConnectRefuse(t *testing.T) {
	g := build(t, "a b", "a>b")
	if g.Add("a", "other") || g.Vertex("a") != "vertex a" || g.Len() != 2 {
		t.Error("a second vertex took the place of the first")
	}
	if g.Connect("a", "x", "") || g.Connect("x", "a", "") || g.Has("x") || len(g.Out("a")) != 1 || len(g.In("a")) != 0 {
		t.Error("an edge to nowhere was made")
	}
	if g.Vertex("x") != "" || g.Out("x") != nil || g.In("x") != nil {
		t.Error("a vertex that is not there has something")
	}
}

func TestConnectReplaces(t *testing.T) {
	g := build(t, "a b c", "a>b a>c")
	g.Connect("a", "b", "new")
	want := []Arc[string, string]{{"b", "new"}, {"c", "a>c"}}
	if got := g.Out("a"); !slices.Equal(got, want) {
		t.Errorf("out: got %v, want %v", got, want)
	}
	if got := g.In("b"); !slices.Equal(got, []Arc[string, string]{{"a", "new"}}) {
		t.Errorf("in: got %v", got)
	}
}

// TestCopies checks that what a graph returns, and its clone, can be changed without changing it.
func TestCopies(t *testing.T) {
	g := build(t, "a b c", "a>b b>c")
	clone := g.Clone()
	two := build(t, "a b c", "b>c a>c")
	if got := two.Clone().In("c"); !slices.Equal(got, two.In("c")) {
		t.Errorf("the clone's edges are in another order: %v", got)
	}
	if words(clone.Keys()) != "a b c" || clone.Vertex("b") != "vertex b" ||
		!slices.Equal(clone.Out("a"), g.Out("a")) || !slices.Equal(clone.In("c"), g.In("c")) {
		t.Errorf("the clone differs: %+v", clone)
	}
	clone.Add("d", "")
	clone.Connect("a", "b", "changed")
	clone.Connect("c", "d", "")
	g.Keys()[0] = "x"
	_ = append(g.Out("a"), Arc[string, string]{"c", ""})
	if words(g.Keys()) != "a b c" || g.Out("a")[0] != (Arc[string, string]{"b", "a>b"}) ||
		g.In("c")[0].Key != "b" || g.Out("c") != nil {
		t.Errorf("the graph was changed: %+v", g)
	}
}

// TestDeep sorts a chain that is longer than those of any host.
func TestDeep(t *testing.T) {
	const n = 20_000
	g := New[int, struct{}, struct{}]()
	for i := range n {
		g.Add(i, struct{}{})
	}
	for i := range n - 1 {
		g.Connect(i+1, i, struct{}{})
	}
	order, err := g.Sort()
	if err != nil || len(order) != n || order[0] != n-1 || order[n-1] != 0 {
		t.Errorf("got %d, %v", len(order), err)
	}
}

// FuzzSort checks that an order has every vertex once and respects every edge, that it is the same
// each time, and that there is one if and only if there is no cycle.
func FuzzSort(f *testing.F) {
	f.Add([]byte{}, uint64(1))
	f.Add([]byte{0x01, 0x12, 0x23}, uint64(2))
	f.Add([]byte{0x10, 0x21, 0x02}, uint64(3))
	f.Add([]byte{0x55}, uint64(4))
	f.Fuzz(func(t *testing.T, edges []byte, seed uint64) {
		g := random(edges, seed)
		order, err := g.Sort()
		if cycle, ok := errors.AsType[*CycleError[string]](err); ok {
			checkPath(t, g, cycle.Path)
			return
		}
		again, _ := g.Clone().Sort()
		if err != nil || len(order) != g.Len() || !slices.Equal(order, again) {
			t.Fatalf("got %v, then %v, %v", order, again, err)
		}
		for _, from := range order {
			for _, a := range g.Out(from) {
				if slices.Index(order, from) >= slices.Index(order, a.Key) {
					t.Fatalf("order %v against the edge %s>%s", order, from, a.Key)
				}
			}
		}
	})
}

// random returns a graph of up to 16 vertices, added in a random order; each byte is an edge.
func random(edges []byte, seed uint64) *Graph[string, string, string] {
	const names = "0123456789abcdef"
	g := New[string, string, string]()
	for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(len(names))[:1+seed%16] {
		g.Add(names[i:i+1], names[i:i+1])
	}
	for _, e := range edges {
		from, to := names[e>>4:][:1], names[e&15:][:1]
		g.Connect(from, to, from+">"+to)
	}
	return g
}
