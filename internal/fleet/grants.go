package fleet

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"spore/engine"
	"spore/engine/manifest"
	"spore/etcd"
)

// grantsOf returns what each host may do in the store: export and collect what its graph says, and
// read and write the keys that its own resources name and those that come with what it collects.
func grantsOf(members []*member, kinds engine.Kinds) map[string]etcd.Grants {
	exported := map[string][]string{} // keys in exports, by kind
	for _, m := range members {
		for _, e := range m.manifest.Program.Exports {
			spec, err := kinds[e.Kind].DecodeJSON(e.Spec)
			if k, ok := spec.(engine.Keyed); ok && err == nil {
				exported[e.Kind] = append(exported[e.Kind], k.Keys()...)
			}
		}
	}
	all := make(map[string]etcd.Grants, len(members))
	for _, m := range members {
		all[m.name] = grantsFor(m.manifest, exported)
	}
	return all
}

func grantsFor(m *manifest.Manifest, exported map[string][]string) etcd.Grants {
	var g etcd.Grants
	for _, e := range m.Program.Exports {
		g.Exports = append(g.Exports, e.Kind)
	}
	for _, c := range m.Program.Collects {
		g.Collects = append(g.Collects, c.Kind)
		g.Keys = append(g.Keys, exported[c.Kind]...)
	}
	for _, id := range m.Program.Graph.Keys() {
		if k, ok := m.Program.Graph.Vertex(id).Spec.(engine.Keyed); ok {
			g.Keys = append(g.Keys, k.Keys()...)
		}
	}
	for _, list := range []*[]string{&g.Exports, &g.Collects, &g.Keys} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return g
}

// regrant gives every host whose graph, or whose neighbours' exports, now need it other rights.
func (f *fleet) regrant(ctx context.Context) error {
	f.mu.Lock()
	before, after := f.grants, grantsOf(f.members, f.Kinds)
	f.grants = after
	f.mu.Unlock()
	for _, m := range f.members {
		if reflect.DeepEqual(before[m.name], after[m.name]) {
			continue
		}
		if _, err := f.store.Admit(ctx, m.name, after[m.name]); err != nil {
			return fmt.Errorf("change grants of %s: %w", m.name, err)
		}
	}
	return nil
}

func (f *fleet) granted(host string) etcd.Grants {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.grants[host]
}
