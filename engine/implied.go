package engine

import (
	"path"

	"spore/graph"
)

// Imply adds the edges that nobody has to write: from the nearest directory that a resource makes to
// what others keep below it. One that follows from others already, or would close a circle with
// them, is left out.
func Imply(g *Graph) {
	made := map[string]ID{}
	lies := map[ID]string{}
	keys := g.Keys()
	for _, id := range keys {
		l, ok := g.Vertex(id).Spec.(Located)
		if !ok {
			continue
		}
		where, makes := l.Location()
		lies[id] = where
		if _, taken := made[where]; makes && !taken {
			made[where] = id
		}
	}
	inside := map[ID][]ID{}
	for _, id := range keys {
		where, ok := lies[id]
		if !ok {
			continue
		}
		if dir, ok := nearest(made, where); ok {
			inside[dir] = append(inside[dir], id)
		}
	}
	for _, dir := range keys {
		if len(inside[dir]) > 0 {
			lead(g, dir, inside[dir])
		}
	}
}

// lead has dir come before all of inside that it can come before, and does not yet.
func lead(g *Graph, dir ID, inside []ID) {
	before, after := reached(dir, g.In), reached(dir, g.Out)
	for _, id := range inside {
		if !before[id] && !after[id] {
			g.Connect(dir, id, Edge{})
		}
	}
}

// nearest returns who makes the lowest of the directories that where lies in.
func nearest(made map[string]ID, where string) (ID, bool) {
	for dir := path.Dir(where); dir != where; where, dir = dir, path.Dir(dir) {
		if id, ok := made[dir]; ok {
			return id, true
		}
	}
	return ID{}, false
}

// reached returns from, and all that there is a way to along the arcs.
func reached(from ID, arcs func(ID) []graph.Arc[ID, Edge]) map[ID]bool {
	seen := map[ID]bool{from: true}
	for next := []ID{from}; len(next) > 0; {
		id := next[len(next)-1]
		next = next[:len(next)-1]
		for _, arc := range arcs(id) {
			if !seen[arc.Key] {
				seen[arc.Key] = true
				next = append(next, arc.Key)
			}
		}
	}
	return seen
}
