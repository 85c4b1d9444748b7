package manifest

import (
	"errors"
	"strings"

	"spore/engine"
	"spore/graph"
)

// maxCycles is how many cycles are reported: each costs one sorting.
const maxCycles = 10

// connect makes the graph of what was declared, and reports the edges that cannot be.
func (d *document) connect() {
	links := d.merge()
	for range maxCycles {
		g := d.arrange(links)
		_, err := g.Sort()
		cycle, ok := errors.AsType[*graph.CycleError[engine.ID]](err)
		if !ok {
			engine.Imply(g)
			d.manifest.Program.Graph = g
			return
		}
		links = d.breakCycle(links, cycle.Path)
	}
}

// merge returns the edges, one for each pair of resources: it notifies if any of the pair does.
func (d *document) merge() []*link {
	var links []*link
	pairs := map[[2]ref]*link{}
	for _, l := range d.links {
		if l.from == l.to {
			d.fail(l.place, "take it away", "%s cannot come before itself", l.from)
			continue
		}
		l.notify = l.notify || d.kinds[l.from.kind].Pulse
		pair := [2]ref{l.from, l.to}
		if first := pairs[pair]; first != nil {
			first.notify = first.notify || l.notify
			continue
		}
		pairs[pair] = &l
		links = append(links, &l)
	}
	return links
}

// arrange returns the graph of the resources that are applied here.
func (d *document) arrange(links []*link) *engine.Graph {
	g := graph.New[engine.ID, engine.Node, engine.Edge]()
	for _, res := range d.resources {
		if !res.exported {
			g.Add(res.id(), engine.Node{ID: res.id(), Meta: res.meta, Spec: res.spec, Sensitive: res.sensitive})
		}
	}
	for _, l := range links {
		g.Connect(l.from.id(), l.to.id(), engine.Edge{Notify: l.notify})
	}
	return g
}

// breakCycle reports a cycle on the edge that was written last and so closed it, and returns the
// others, in which there may be further cycles.
func (d *document) breakCycle(links []*link, path []engine.ID) []*link {
	next := map[engine.ID]engine.ID{}
	for i, id := range path[1:] {
		next[path[i]] = id
	}
	last := -1
	for i, l := range links {
		if next[l.from.id()] == l.to.id() && (last < 0 || links[last].place.before(l.place)) {
			last = i
		}
	}
	d.fail(links[last].place, "take one of these edges away", "cycle: %s", pathOf(path))
	return append(links[:last:last], links[last+1:]...)
}

// pathOf writes a path, without its middle if it is long.
func pathOf(path []engine.ID) string {
	const most = 40
	var words []string
	for i, id := range path {
		switch {
		case len(path) <= most || i < most/2 || i >= len(path)-most/2:
			words = append(words, brief(id.String()))
		case i == most/2:
			words = append(words, "…")
		}
	}
	return strings.Join(words, " → ")
}
