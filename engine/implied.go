package engine

import "path"

// Imply adds the edges that nobody has to write: from the nearest directory that a resource makes to
// what others keep below it. One that is there already, or would close a circle with those that were
// written, is left out.
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
	for _, id := range keys {
		dir, ok := nearest(made, lies[id])
		if ok && dir != id && !reaches(g, id, dir) && !reaches(g, dir, id) {
			g.Connect(dir, id, Edge{})
		}
	}
}

// nearest returns who makes the lowest of the directories that where lies in.
func nearest(made map[string]ID, where string) (ID, bool) {
	for where != "" && where != "/" {
		where = path.Dir(where)
		if id, ok := made[where]; ok {
			return id, true
		}
	}
	return ID{}, false
}

// reaches reports whether there is a way along the edges.
func reaches(g *Graph, from, to ID) bool {
	seen := map[ID]bool{from: true}
	for next := []ID{from}; len(next) > 0; {
		id := next[len(next)-1]
		next = next[:len(next)-1]
		if id == to {
			return true
		}
		for _, arc := range g.Out(id) {
			if !seen[arc.Key] {
				seen[arc.Key] = true
				next = append(next, arc.Key)
			}
		}
	}
	return false
}
