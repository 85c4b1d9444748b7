package cluster

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"spore/engine"
	"spore/engine/manifest"
	"spore/graph"
	"spore/internal/view"
)

// Signs of a Difference.
const (
	added   = "+"
	removed = "-"
	changed = "~"
)

// A Difference is one thing in which a host's graph differs from the one before.
type Difference struct {
	Sign    string // added, removed or changed
	What    string
	Changes []engine.Change // what differs in it, without what is secret
}

// differences lists in what next differs from old, which is nil if there was none.
func differences(old, next *manifest.Manifest, kinds engine.Kinds) []Difference {
	if old == nil {
		old = &manifest.Manifest{Program: &engine.Program{Graph: graph.New[engine.ID, engine.Node, engine.Edge]()}}
	}
	return slices.Concat(
		nodes(wherever(old), wherever(next), kinds),
		edges(old.Program.Graph, next.Program.Graph),
		exports(old.Program.Exports, next.Program.Exports, kinds),
		collects(old.Program.Collects, next.Program.Collects),
		files(old.Files, next.Files),
	)
}

// wherever returns a manifest's resources as they would be wherever it lay: what travels with them is
// found relative to it.
func wherever(m *manifest.Manifest) *engine.Graph {
	dir, err := filepath.Abs(filepath.Dir(m.File))
	if err != nil {
		return m.Program.Graph
	}
	g := graph.New[engine.ID, engine.Node, engine.Edge]()
	for _, id := range m.Program.Graph.Keys() {
		n := m.Program.Graph.Vertex(id)
		if s, ok := n.Spec.(engine.Sourced); ok && strings.HasPrefix(s.Source(), dir+"/") {
			n.Spec = without(n.Spec, dir+"/")
		}
		g.Add(id, n)
	}
	return g
}

// without returns spec with prefix cut off the texts in it that begin so.
func without(spec engine.Spec, prefix string) engine.Spec {
	v := reflect.New(reflect.TypeOf(spec)).Elem()
	v.Set(reflect.ValueOf(spec))
	for i := range v.NumField() {
		if field := v.Field(i); field.Kind() == reflect.String && field.CanSet() {
			field.SetString(strings.TrimPrefix(field.String(), prefix))
		}
	}
	return v.Interface().(engine.Spec)
}

func nodes(old, next *engine.Graph, kinds engine.Kinds) (all []Difference) {
	d := graph.Diff(old, next, engine.Node.Same)
	for _, id := range d.Removed {
		all = append(all, Difference{Sign: removed, What: id.String()})
	}
	for _, id := range d.Changed {
		a, b := old.Vertex(id), next.Vertex(id)
		all = append(all, Difference{changed, id.String(), slices.Concat(
			fields(kinds[id.Kind].Fields(), a.Spec, b.Spec, a.Sensitive || b.Sensitive),
			prefixed("meta.", fields(engine.FieldsOf(reflect.TypeFor[engine.Meta]()), a.Meta, b.Meta, false)),
		)})
	}
	for _, id := range d.Added {
		all = append(all, Difference{Sign: added, What: id.String()})
	}
	return all
}

// edges compares those between resources that were there and stay: the others come and go with theirs.
func edges(old, next *engine.Graph) (all []Difference) {
	type arc struct{ from, to engine.ID }
	list := func(of, other *engine.Graph) map[arc]engine.Edge {
		arcs := map[arc]engine.Edge{}
		for _, from := range of.Keys() {
			for _, out := range of.Out(from) {
				if other.Has(from) && other.Has(out.Key) {
					arcs[arc{from, out.Key}] = out.Edge
				}
			}
		}
		return arcs
	}
	name := func(a arc) string { return fmt.Sprintf("edge %s → %s", a.from, a.to) }
	return keyed(list(old, next), list(next, old), name, func(a, b engine.Edge) []engine.Change {
		if a == b {
			return nil
		}
		return []engine.Change{{Field: "notify", From: fmt.Sprint(a.Notify), To: fmt.Sprint(b.Notify)}}
	})
}

func exports(old, next []engine.Export, kinds engine.Kinds) []Difference {
	list := func(of []engine.Export) map[string]engine.Export {
		all := map[string]engine.Export{}
		for _, e := range of {
			all["export "+e.Kind+"/"+e.Name] = e
		}
		return all
	}
	return keyed(list(old), list(next), plainName, func(a, b engine.Export) []engine.Change {
		if reflect.DeepEqual(a.Meta, b.Meta) && bytes.Equal(a.Spec, b.Spec) {
			return nil
		}
		x, errA := kinds[a.Kind].DecodeJSON(a.Spec)
		y, errB := kinds[b.Kind].DecodeJSON(b.Spec)
		if errA != nil || errB != nil {
			return []engine.Change{{Field: "spec"}}
		}
		return slices.Concat(
			fields(kinds[a.Kind].Fields(), x, y, false),
			prefixed("meta.", fields(engine.FieldsOf(reflect.TypeFor[engine.Meta]()), a.Meta, b.Meta, false)),
		)
	})
}

func collects(old, next []engine.Collect) []Difference {
	list := func(of []engine.Collect) map[string]bool {
		all := map[string]bool{}
		for _, c := range of {
			what := "collect " + c.Kind
			if c.Pattern != "" {
				what += " " + c.Pattern
			}
			all[what] = true
		}
		return all
	}
	return keyed(list(old), list(next), plainName, func(bool, bool) []engine.Change { return nil })
}

// files compares what travels with the graphs.
func files(old, next []manifest.File) []Difference {
	list := func(of []manifest.File) map[string]manifest.File {
		all := map[string]manifest.File{}
		for _, f := range of {
			f.Path = "" // where it happens to lie
			all["travels "+f.Name] = f
		}
		return all
	}
	return keyed(list(old), list(next), plainName, func(a, b manifest.File) (all []engine.Change) {
		if a.Mode != b.Mode {
			all = append(all, engine.Change{Field: "mode", From: a.Mode.String(), To: b.Mode.String()})
		}
		if a.Digest != b.Digest && a.Mode.IsRegular() && b.Mode.IsRegular() {
			all = append(all, engine.Change{Field: "content", From: view.Bytes(a.Size), To: view.Bytes(b.Size)})
		}
		if a.Target != b.Target && a.Mode&b.Mode&fs.ModeSymlink != 0 {
			all = append(all, engine.Change{Field: "target", From: a.Target, To: b.Target})
		}
		return all
	})
}

func plainName(s string) string { return s }

// keyed compares things by their keys. compare returns in what two of the same key differ.
func keyed[K comparable, V any](old, next map[K]V, name func(K) string, compare func(a, b V) []engine.Change) (all []Difference) {
	for k := range old {
		if _, stays := next[k]; !stays {
			all = append(all, Difference{Sign: removed, What: name(k)})
		}
	}
	for k, v := range next {
		was, there := old[k]
		if !there {
			all = append(all, Difference{Sign: added, What: name(k)})
		} else if changes := compare(was, v); len(changes) > 0 {
			all = append(all, Difference{changed, name(k), changes})
		}
	}
	order := map[string]int{removed: 0, changed: 1, added: 2}
	slices.SortFunc(all, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(order[a.Sign], order[b.Sign]), cmp.Compare(a.What, b.What))
	})
	return all
}

func prefixed(prefix string, changes []engine.Change) []engine.Change {
	for i := range changes {
		changes[i].Field = prefix + changes[i].Field
	}
	return changes
}
