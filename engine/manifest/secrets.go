package manifest

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"spore/engine"
)

// secretsOf returns the names of the kinds' secret fields.
func secretsOf(kinds ...engine.Kind) []string {
	var names []string
	for _, k := range kinds {
		for _, f := range k.Fields() {
			if f.Secret {
				names = append(names, f.Name)
			}
		}
	}
	return names
}

// allSecrets returns the names of the secret fields of every kind.
func (r *report) allSecrets() []string {
	var names []string
	for _, k := range r.kinds {
		names = append(names, secretsOf(k)...)
	}
	return names
}

// hide makes sure that no line is shown further than to where a secret begins on it. It goes by
// the names of the keys alone, misspelt ones included, so that it holds whatever else is wrong.
func (r *report) hide(root *yaml.Node) {
	h := hider{kinds: r.kinds, all: r.allSecrets(), ends: map[*yaml.Node]int{}, shared: map[*yaml.Node]bool{}}
	h.document(root)
	for i, n := range h.order {
		if h.secret[n] || h.shared[n] {
			r.cutOut(at(n), h.after(i))
		}
	}
}

// A hider lists the nodes of a document as they stand in the text, and which of them are secret.
type hider struct {
	kinds  engine.Kinds
	all    []string
	order  []*yaml.Node
	ends   map[*yaml.Node]int // the length of order behind the node and all in it
	secret map[*yaml.Node]bool
	shared map[*yaml.Node]bool // anchors whose alias is a secret
}

func (h *hider) document(root *yaml.Node) {
	h.secret = map[*yaml.Node]bool{}
	h.walk(root, func(key string) func(*yaml.Node) {
		if key == "resources" {
			return h.resources
		}
		return h.generic(h.all)
	})
}

func (h *hider) resources(n *yaml.Node) {
	h.walk(n, func(kind string) func(*yaml.Node) {
		if k, ok := h.kinds[kind]; ok {
			return h.generic(secretsOf(k))
		}
		return h.generic(h.all)
	})
}

// generic walks any node, in which the keys called names are secret.
func (h *hider) generic(names []string) func(*yaml.Node) {
	var visit func(*yaml.Node)
	visit = func(n *yaml.Node) {
		h.walk(n, func(key string) func(*yaml.Node) {
			for _, name := range names {
				if alike(key, name) {
					return h.hideAll
				}
			}
			return visit
		})
	}
	return visit
}

// hideAll marks a node and all in it as secret.
func (h *hider) hideAll(n *yaml.Node) {
	h.secret[n] = true
	if n.Kind == yaml.AliasNode {
		h.shared[n.Alias] = true
	}
	h.walk(n, func(string) func(*yaml.Node) { return h.hideAll })
}

// walk lists a node, and what is in it: the value of each key as inside says, the items of a list
// as those of a map without keys.
func (h *hider) walk(n *yaml.Node, inside func(key string) func(*yaml.Node)) {
	h.order = append(h.order, n)
	for i, child := range n.Content {
		switch {
		case n.Kind != yaml.MappingNode:
			inside("")(child)
		case i%2 == 0:
			h.walk(child, func(string) func(*yaml.Node) { return h.hideAll })
		default:
			inside(resolve(n.Content[i-1]).Value)(child)
		}
	}
	h.ends[n] = len(h.order)
}

// after returns the position of what follows the i-th node and all in it.
func (h *hider) after(i int) position {
	if end := h.ends[h.order[i]]; end < len(h.order) {
		return at(h.order[end])
	}
	return position{line: 1 << 30}
}

// cutOut hides what stands between two positions.
func (r *report) cutOut(from, to position) {
	for line := from.line; line <= min(to.line, len(r.lines)); line++ {
		column := 1
		if line == from.line {
			column = from.column
		} else if line == to.line && strings.Trim(r.prefix(to), " -?") == "" {
			break // only indentation precedes what follows
		}
		if cut, ok := r.cut[line]; !ok || column < cut {
			r.cut[line] = column
		}
	}
}

// prefix returns what stands before p on its line.
func (r *report) prefix(p position) string {
	line := []rune(r.lines[p.line-1])
	return string(line[:min(len(line), max(0, p.column-1))])
}

// hideUnread hides a line of a text that could not be read, if it may hold a secret or the rest of
// one: who cannot tell where a value ends has to hide too much.
func (r *report) hideUnread(line int) {
	names := r.allSecrets()
	for i, text := range r.lines[:line] {
		for _, name := range names {
			key := strings.Index(text, name)
			switch {
			case key < 0:
			case i+1 == line:
				from := position{line, len([]rune(text[:key])) + len([]rune(name)) + 1}
				r.cutOut(from, position{line, from.column + 1})
			case strings.ContainsAny(text, `"'[{`) || indent(r.lines[line-1]) > indent(text):
				r.cutOut(position{line, 1}, position{line, 2})
			}
		}
	}
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
