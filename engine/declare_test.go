package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"spore/graph"
)

// A decl is a node with the edges that reach it.
type decl struct {
	Node
	in map[string]Edge
}

// declare returns the node fake/name, or kind/name, whose value is to be "1".
func declare(name string, adapt ...func(*decl)) decl {
	d := decl{Node: Node{ID: idOf(name), Spec: fakeSpec{Value: "1"}}, in: map[string]Edge{}}
	for _, f := range adapt {
		f(&d)
	}
	return d
}

func idOf(name string) ID {
	if kind, rest, ok := strings.Cut(name, "/"); ok {
		return ID{Kind: kind, Name: rest}
	}
	return ID{Kind: "fake", Name: name}
}

func after(names ...string) func(*decl) {
	return func(d *decl) {
		for _, n := range names {
			d.in[n] = Edge{}
		}
	}
}

func notifiedBy(name string) func(*decl) {
	return func(d *decl) { d.in[name] = Edge{Notify: true} }
}

func value(v string) func(*decl) { return func(d *decl) { d.Spec = fakeSpec{Value: v} } }
func meta(m Meta) func(*decl)    { return func(d *decl) { d.Meta = m } }

func program(nodes ...decl) *Program {
	g := graph.New[ID, Node, Edge]()
	for _, d := range nodes {
		g.Add(d.ID, d.Node)
	}
	for _, d := range nodes {
		for _, from := range slices.Sorted(maps.Keys(d.in)) {
			if !g.Connect(idOf(from), d.ID, d.in[from]) {
				panic(fmt.Sprintf("no edge %s → %s", from, d.ID))
			}
		}
	}
	return &Program{Name: "test", Graph: g}
}
