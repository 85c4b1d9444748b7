package manifest

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxExpansion bounds what aliases may add to a document, counted as the characters of its scalars
// and one for each node.
const maxExpansion = 1 << 20

// resolve returns the node that is meant: an alias stands for its anchor.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// checkTree reports whether the document is safe to walk: its aliases make neither a loop nor a
// giant, and its tags are YAML's own.
func (r *report) checkTree(root *yaml.Node) bool {
	c := checker{report: r, sizes: map[*yaml.Node]int{}, ok: true}
	full := c.size(root)
	if c.ok && full-c.own > maxExpansion {
		r.fail(at(root), "repeat less by aliases", "the aliases of this file expand to more than 1 MiB")
		c.ok = false
	}
	return c.ok
}

type checker struct {
	report *report
	sizes  map[*yaml.Node]int // of nodes with an anchor; -1 while inside
	own    int                // without what aliases add
	ok     bool
}

var tags = []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!timestamp", "!!merge"}

func (c *checker) size(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		size := c.sizes[n.Alias]
		if size < 0 {
			c.report.fail(at(n), "write out what it stands for", "the alias *%s stands inside what it stands for", n.Value)
			c.ok, size = false, 0
		}
		c.own++
		return size + 1
	}
	if !slices.Contains(tags, n.ShortTag()) {
		c.report.fail(at(n), "take the tag away", "the tag %s has no meaning in a graph file", n.ShortTag())
		c.ok = false
	}
	c.sizes[n] = -1
	size := len(n.Value) + 1
	c.own += size
	for _, child := range n.Content {
		// Saturated well below where sums of aliases of aliases could overflow.
		size = min(size+c.size(child), 1<<29)
	}
	c.sizes[n] = size
	return size
}

// An entry is one key of a map with its value.
type entry struct {
	name  string
	key   *yaml.Node
	value *yaml.Node // resolved
}

// entries returns the keys of a map, those merged into it included. what names the map in errors.
func (r *report) entries(n *yaml.Node, what string) []entry {
	if n = resolve(n); isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.fail(at(n), "write its keys as key: value", "%s: expected a map, got %s", what, describe(n))
		return nil
	}
	var own, merged []entry
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		switch {
		case key.Kind != yaml.ScalarNode:
			r.fail(at(n.Content[i]), "write key: value", "%s: a key must be a word, got %s", what, describe(key))
		case key.ShortTag() == "!!merge":
			merged = append(merged, r.merged(value, what)...)
		case first[key.Value] != nil:
			r.fail(at(key), "keep one of the two", "%s: the key %q stands twice, first on line %d", what,
				brief(key.Value), first[key.Value].Line)
		default:
			first[key.Value] = key
			own = append(own, entry{key.Value, key, value})
		}
	}
	for _, e := range merged { // what stands in the map itself, or comes first, wins
		if first[e.name] == nil {
			first[e.name] = e.key
			own = append(own, e)
		}
	}
	return own
}

// merged returns what the value of a << key stands for: a map or a list of maps.
func (r *report) merged(n *yaml.Node, what string) []entry {
	if n.Kind != yaml.SequenceNode {
		return r.entries(n, what)
	}
	var all []entry
	for _, item := range n.Content {
		all = append(all, r.entries(item, what)...)
	}
	return all
}

// items returns the items of a list, resolved.
func (r *report) items(n *yaml.Node, what string) []*yaml.Node {
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(at(n), "begin each item on a line of its own with -", "%s: expected a list, got %s", what, describe(n))
		return nil
	}
	items := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		items[i] = resolve(item)
	}
	return items
}

// describe names what a node is, in an error.
func describe(n *yaml.Node) string {
	switch t := typeOf(n); t {
	case "a number", "a truth value":
		return "the " + strings.TrimPrefix(t, "a ") + " " + brief(n.Value)
	case "a text":
		return fmt.Sprintf("the text %q", brief(n.Value))
	default:
		return t
	}
}

// typeOf is describe without the value.
func typeOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a truth value"
	}
	return "a text"
}

// brief shortens a text for an error.
func brief(s string) string { return clip(s, 60) }

// clip cuts a text off after so many characters.
func clip(s string, most int) string {
	for i := range s {
		if most--; most < 0 {
			return s[:i] + "…"
		}
	}
	return s
}
