// Package graph is a directed acyclic graph with a stable order, and the difference between two.
package graph

import (
	"fmt"
	"slices"
	"strings"
)

// A Graph holds vertices of type V, named by keys of type K, and edges of type E between them. It
// keeps the order in which vertices were added. The zero Graph is not ready; use New. A Graph is
// not safe for concurrent use while it is being changed.
type Graph[K comparable, V, E any] struct {
	keys     []K
	vertices map[K]V
	out, in  map[K][]Arc[K, E]
}

// An Arc is one end of an edge: the vertex at the other end, and what the edge carries.
type Arc[K comparable, E any] struct {
	Key  K
	Edge E
}

// New returns an empty graph.
func New[K comparable, V, E any]() *Graph[K, V, E] {
	return &Graph[K, V, E]{
		vertices: map[K]V{},
		out:      map[K][]Arc[K, E]{},
		in:       map[K][]Arc[K, E]{},
	}
}

// Add adds a vertex, and reports false, changing nothing, if there is one with that key.
func (g *Graph[K, V, E]) Add(key K, v V) bool {
	if _, ok := g.vertices[key]; ok {
		return false
	}
	g.keys = append(g.keys, key)
	g.vertices[key] = v
	return true
}

// Connect adds an edge between two vertices, in place of the one there was. It reports false,
// changing nothing, if either is missing. It does not look for cycles; Sort does.
func (g *Graph[K, V, E]) Connect(from, to K, e E) bool {
	if !g.Has(from) || !g.Has(to) {
		return false
	}
	if !g.connected(from, to) {
		g.out[from] = append(g.out[from], Arc[K, E]{to, e})
		g.in[to] = append(g.in[to], Arc[K, E]{from, e})
		return true
	}
	g.out[from][find(g.out[from], to)].Edge = e
	g.in[to][find(g.in[to], from)].Edge = e
	return true
}

// connected looks where there is less to look at: one vertex may have thousands of edges.
func (g *Graph[K, V, E]) connected(from, to K) bool {
	if len(g.in[to]) < len(g.out[from]) {
		return find(g.in[to], from) >= 0
	}
	return find(g.out[from], to) >= 0
}

// find returns where the arc to key is, or -1.
func find[K comparable, E any](arcs []Arc[K, E], key K) int {
	return slices.IndexFunc(arcs, func(a Arc[K, E]) bool { return a.Key == key })
}

// Len is the number of vertices.
func (g *Graph[K, V, E]) Len() int { return len(g.keys) }

// Has reports whether there is a vertex with that key.
func (g *Graph[K, V, E]) Has(key K) bool { _, ok := g.vertices[key]; return ok }

// Vertex returns the vertex with that key, or a zero V.
func (g *Graph[K, V, E]) Vertex(key K) V { return g.vertices[key] }

// Keys returns the keys in the order in which they were added.
func (g *Graph[K, V, E]) Keys() []K { return slices.Clone(g.keys) }

// Out returns the edges that leave the vertex, in the order in which they were made. The slice is
// the graph's own, and not to be changed.
func (g *Graph[K, V, E]) Out(key K) []Arc[K, E] { return slices.Clip(g.out[key]) }

// In returns the edges that reach the vertex, as Out does those that leave it.
func (g *Graph[K, V, E]) In(key K) []Arc[K, E] { return slices.Clip(g.in[key]) }

// Clone returns a copy that shares nothing with g but what its vertices and edges point to.
func (g *Graph[K, V, E]) Clone() *Graph[K, V, E] {
	c := New[K, V, E]()
	for _, k := range g.keys {
		c.Add(k, g.vertices[k])
	}
	for k := range g.out {
		c.out[k] = slices.Clone(g.out[k])
	}
	for k := range g.in {
		c.in[k] = slices.Clone(g.in[k])
	}
	return c
}

// A CycleError tells of a cycle: its path begins and ends with the same key.
type CycleError[K comparable] struct{ Path []K }

func (e *CycleError[K]) Error() string {
	words := make([]string, len(e.Path))
	for i, k := range e.Path {
		words[i] = fmt.Sprint(k)
	}
	return "cycle: " + strings.Join(words, " → ")
}

// Sort returns the keys so that every edge leads forward, otherwise in the order in which they were
// added. If there is a cycle the error is a *CycleError[K].
func (g *Graph[K, V, E]) Sort() ([]K, error) {
	const (
		open = 1
		done = 2
	)
	mark := make(map[K]int, len(g.keys))
	added := make(map[K]int, len(g.keys))
	for i, k := range g.keys {
		added[k] = i
	}
	order := make([]K, 0, len(g.keys))
	var path []K
	var visit func(K) error
	visit = func(k K) error {
		switch mark[k] {
		case done:
			return nil
		case open:
			cycle := append(slices.Clone(path[slices.Index(path, k):]), k)
			slices.Reverse(cycle) // path was walked against the edges
			return &CycleError[K]{Path: cycle}
		}
		mark[k] = open
		path = append(path, k)
		before := slices.Clone(g.in[k])
		slices.SortFunc(before, func(a, b Arc[K, E]) int { return added[a.Key] - added[b.Key] })
		for _, a := range before {
			if err := visit(a.Key); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		mark[k] = done
		order = append(order, k)
		return nil
	}
	for _, k := range g.keys {
		if err := visit(k); err != nil {
			return nil, err
		}
	}
	return order, nil
}
