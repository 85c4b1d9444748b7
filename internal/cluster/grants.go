package cluster

import (
	"slices"

	"spore/engine"
	"spore/etcd"
)

// Grants returns what each host may do in the store: export and collect what its graph says, and
// read and write the keys that its own resources name and those that come with what it collects. So
// the grants of one host depend on the programs of all.
func Grants(programs map[string]*engine.Program, kinds engine.Kinds) map[string]etcd.Grants {
	exported := map[string][]string{} // keys in exports, by kind
	for _, p := range programs {
		for _, e := range p.Exports {
			spec, err := kinds[e.Kind].DecodeJSON(e.Spec)
			if k, ok := spec.(engine.Keyed); ok && err == nil {
				exported[e.Kind] = append(exported[e.Kind], k.Keys()...)
			}
		}
	}
	all := make(map[string]etcd.Grants, len(programs))
	for host, p := range programs {
		all[host] = grantsFor(p, exported)
	}
	return all
}

func grantsFor(p *engine.Program, exported map[string][]string) etcd.Grants {
	var g etcd.Grants
	for _, e := range p.Exports {
		g.Exports = append(g.Exports, e.Kind)
	}
	for _, c := range p.Collects {
		g.Collects = append(g.Collects, c.Kind)
		g.Keys = append(g.Keys, exported[c.Kind]...)
	}
	for _, id := range p.Graph.Keys() {
		if k, ok := p.Graph.Vertex(id).Spec.(engine.Keyed); ok {
			g.Keys = append(g.Keys, k.Keys()...)
		}
	}
	for _, list := range []*[]string{&g.Exports, &g.Collects, &g.Keys} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return g
}
