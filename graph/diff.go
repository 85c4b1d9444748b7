package graph

// A Delta is what has to happen to turn one graph into another, by vertex. Keys of Removed are in
// the order of the old graph, the others in that of the new one.
type Delta[K comparable] struct {
	Added, Removed, Changed, Kept []K
}

// Empty reports whether no vertex was added, removed or changed.
func (d Delta[K]) Empty() bool { return len(d.Added)+len(d.Removed)+len(d.Changed) == 0 }

// Diff compares two graphs vertex by vertex. A vertex of both is Kept if same says so, else
// Changed. Edges are not looked at: they belong to the graph, not to its vertices.
func Diff[K comparable, V, E any](before, after *Graph[K, V, E], same func(a, b V) bool) Delta[K] {
	var d Delta[K]
	for _, k := range before.keys {
		if !after.Has(k) {
			d.Removed = append(d.Removed, k)
		}
	}
	for _, k := range after.keys {
		switch {
		case !before.Has(k):
			d.Added = append(d.Added, k)
		case same(before.vertices[k], after.vertices[k]):
			d.Kept = append(d.Kept, k)
		default:
			d.Changed = append(d.Changed, k)
		}
	}
	return d
}
