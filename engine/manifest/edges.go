package manifest

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"spore/engine"
)

// A ref names a resource of this file; the name of an exported one begins with @@.
type ref struct{ kind, name string }

func (r ref) String() string { return r.kind + "/" + r.name }

func (r ref) id() engine.ID { return engine.ID{Kind: r.kind, Name: r.name} }

// A link is an edge as it was written.
type link struct {
	from, to ref
	toSelf   bool // while it is read: the other resource comes first
	notify   bool
	place    position
}

// linkAll reads a require, before, notify or subscribe: one kind/name or a list of them.
func (d *document) linkAll(res *resource, e entry, l link) {
	what := res.String() + ": " + e.name
	if res.exported {
		d.fail(at(e.key), "take it away", "%s: an exported resource is not applied here and has no order", what)
		return
	}
	nodes := []*yaml.Node{e.value}
	switch e.value.Kind {
	case yaml.SequenceNode:
		nodes = d.items(e.value, what)
	case yaml.MappingNode:
		d.fail(at(e.value), "write kind/name, or a list of these", "%s: expected a list, got a map", what)
		return
	}
	for _, n := range nodes {
		other, ok := d.ref(n, what)
		if !ok || !d.exists(other, res.ref, n, what) {
			continue
		}
		l.from, l.to, l.place = res.ref, other, at(n)
		if l.toSelf {
			l.from, l.to = other, res.ref
		}
		d.links = append(d.links, l)
	}
}

var puppet = regexp.MustCompile(`^(\w+)\[(.+)\]$`)

// ref reads kind/name. A name may have slashes, too.
func (d *document) ref(n *yaml.Node, what string) (ref, bool) {
	var text string
	if !d.scalar(n, what, &text) {
		return ref{}, false
	}
	kind, name, ok := strings.Cut(text, "/")
	m := puppet.FindStringSubmatch(text)
	if !ok || kind == "" || name == "" || m != nil {
		hint := "write kind/name, such as file/motd or file//etc/motd"
		if m != nil {
			hint = "write " + strings.ToLower(m[1]) + "/" + strings.Trim(m[2], `'"`)
		}
		d.fail(at(n), hint, "%s: %q does not name a resource", what, brief(text))
		return ref{}, false
	}
	return ref{kind, name}, true
}

// edgeList reads the edges of the top level.
func (d *document) edgeList(e entry) {
	for _, item := range d.items(e.value, "edges") {
		var l link
		var name string
		var ends [2]*yaml.Node
		entries := d.entries(item, "edges")
		d.read(entries, "edges", fields{
			"name":   func(e entry) { d.scalar(e.value, e.name, &name) },
			"from":   func(e entry) { ends[0] = d.end(e, &l.from) },
			"to":     func(e entry) { ends[1] = d.end(e, &l.to) },
			"notify": func(e entry) { d.notify(e, &l.notify) },
		})
		refs := [2]ref{l.from, l.to}
		for i, key := range []string{"from", "to"} {
			missing := !slices.ContainsFunc(entries, func(e entry) bool { return e.name == key && !isNull(e.value) })
			if missing && item.Kind == yaml.MappingNode {
				d.fail(at(item), "add "+key+": {kind: …, name: …}", "edges: an edge without %s", key)
			} else if ends[i] != nil && !d.exists(refs[i], refs[1-i], ends[i], "edges: "+key) {
				ends[i] = nil
			}
		}
		if ends[0] != nil && ends[1] != nil {
			l.place = at(ends[0])
			d.links = append(d.links, l)
		}
	}
}

// end reads one end of an edge, and returns the node to blame if there is no such resource.
func (d *document) end(e entry, r *ref) *yaml.Node {
	what := "edges: " + e.name
	if e.value.Kind == yaml.ScalarNode {
		var ok bool
		if *r, ok = d.ref(e.value, what); !ok {
			return nil
		}
		return e.value
	}
	if e.value.Kind == yaml.SequenceNode {
		d.fail(at(e.value), "write {kind: file, name: motd}", "%s: expected a map, got a list", what)
		return nil
	}
	var kind, name *yaml.Node
	take := func(n **yaml.Node, s *string) func(entry) {
		return func(e entry) {
			if d.scalar(e.value, what+": "+e.name, s) {
				*n = e.value
			}
		}
	}
	entries := d.entries(e.value, what)
	misspelt := d.read(entries, what, fields{
		"kind": take(&kind, &r.kind), "res": take(&kind, &r.kind), "name": take(&name, &r.name),
	})
	if kind == nil || name == nil {
		if len(misspelt) == 0 {
			d.fail(at(e.value), "write {kind: file, name: motd}", "%s: a resource is named by kind and name", what)
		}
		return nil
	}
	return name
}

func (d *document) notify(e entry, b *bool) {
	field := engine.Field{Name: "notify", Doc: "Whether a change of the first refreshes the second."}
	d.truth(value{e.value, "edges", field, nil}, reflect.ValueOf(b).Elem())
}

// exists reports whether an edge can lead to or from r, and fails at n if not. self is the other
// end, which cannot be meant.
func (d *document) exists(r, self ref, n *yaml.Node, what string) bool {
	if d.declared[r] != nil && !d.declared[r].exported {
		return true
	}
	if d.count[false] >= maxDiagnostics { // not worth a search for what may have been meant
		d.fail(at(n), "", "%s: there is no such resource", what)
		return false
	}
	bare := ref{r.kind, strings.TrimPrefix(r.name, exported)}
	if d.declared[ref{r.kind, exported + bare.name}] != nil {
		d.fail(at(n), "take the edge away, or declare a resource of that name without @@, too",
			"%s: %s is exported, not applied here", what, bare)
		return false
	}
	var names, kinds []string
	for _, other := range d.resources {
		switch {
		case other.exported || other.ref == self:
		case other.kind == r.kind:
			names = append(names, other.name)
		case other.name == r.name:
			kinds = append(kinds, other.String())
		}
	}
	if len(names) == 0 && len(kinds) == 0 && !d.known(r.kind, n) {
		return false
	}
	hint := "declare it under resources, or take the edge away"
	if name := d.nearest(r.name, names); name != "" {
		hint = fmt.Sprintf("did you mean %q?", r.kind+"/"+name)
	} else if len(kinds) > 0 {
		hint = fmt.Sprintf("did you mean %q?", kinds[0])
	}
	d.fail(at(n), hint, "%s: there is no %q", what, brief(r.String()))
	return false
}
