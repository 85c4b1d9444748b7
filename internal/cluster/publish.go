package cluster

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"spore/engine"
	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/bundle"
)

// A Press writes graphs to the store of a detached cluster, with all that an initiator would else
// bring to the hosts.
type Press struct {
	Store   *etcd.Store
	Kinds   engine.Kinds
	MarkKey string // of the record; without it secrets cannot be compared
}

// Load understands the graphs of hosts as the store holds them. The sources that travel with them are
// read, and gone again when it returns; secrets stay references.
func (p Press) Load(ctx context.Context, graphs map[string]etcd.Graph) (map[string]*manifest.Manifest, error) {
	type same struct{ name, text, bundle string }
	known := map[same]*manifest.Manifest{}
	all := make(map[string]*manifest.Manifest, len(graphs))
	for host, g := range graphs {
		key := same{g.Name, g.Text, g.Bundle}
		if known[key] == nil {
			m, err := p.load(ctx, g)
			if err != nil {
				return nil, fmt.Errorf("read the graph of %s: %w", host, err)
			}
			known[key] = m
		}
		all[host] = known[key]
	}
	return all, nil
}

func (p Press) load(ctx context.Context, g etcd.Graph) (*manifest.Manifest, error) {
	dir, err := os.MkdirTemp("", "spore-graph-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	tree := filepath.Join(dir, "tree")
	if g.Bundle != "" {
		content, err := p.Store.Fetch(ctx, g.Bundle)
		if err != nil {
			return nil, err
		}
		if err := bundle.Unpack(content, g.Bundle, tree); err != nil {
			return nil, err
		}
	}
	return manifest.Parse(filepath.Join(tree, g.Name+".yaml"), []byte(g.Text), manifest.Options{Kinds: p.Kinds})
}

// Publish makes each manifest the graph of its host. others are the graphs of the cluster's other
// hosts: what a host may read depends on them. recipients are those of the hosts for whom there are
// secrets; they are kept, for hosts that are down cannot tell theirs. It returns the revisions of the
// graphs, and may be repeated.
func (p Press) Publish(ctx context.Context, next, others map[string]*manifest.Manifest, recipients map[string]string) (map[string]int64, error) {
	ctx, release, err := p.Store.LockGraphs(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	graphs, err := p.print(ctx, next, recipients)
	if err != nil {
		return nil, err
	}
	if err := p.regrant(ctx, Grants(programs(others, next), p.Kinds), graphs); err != nil {
		return nil, err
	}
	revisions := make(map[string]int64, len(graphs))
	for _, host := range slices.Sorted(maps.Keys(graphs)) {
		if revisions[host], err = p.Store.PutGraph(ctx, host, graphs[host]); err != nil {
			return revisions, err
		}
	}
	return revisions, nil
}

// print makes the graphs, and puts what travels with them into the store.
func (p Press) print(ctx context.Context, next map[string]*manifest.Manifest, recipients map[string]string) (map[string]etcd.Graph, error) {
	if err := p.keep(ctx, recipients); err != nil {
		return nil, err
	}
	packed := map[*manifest.Manifest]string{}
	graphs := make(map[string]etcd.Graph, len(next))
	for host, m := range next {
		digest, ok := packed[m]
		if !ok && len(m.Files) > 0 {
			content, d, err := bundle.Pack(m.Files)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.File, err)
			}
			if err := p.Store.PutBundle(ctx, d, content); err != nil {
				return nil, err
			}
			digest = d
		}
		packed[m] = digest
		secrets, err := seal(m.Secrets, recipients[host])
		if err != nil {
			return nil, fmt.Errorf("secrets of %s: %w", host, err)
		}
		graphs[host] = etcd.Graph{
			Name: m.Name, Text: string(m.Travels), Files: m.Digest(), Bundle: digest,
			Secrets: secrets, Marks: p.marks(host, recipients[host], m.Secrets),
		}
	}
	return graphs, nil
}

// keep notes the recipients that are new.
func (p Press) keep(ctx context.Context, recipients map[string]string) error {
	kept, err := p.Store.Recipients(ctx)
	if err != nil {
		return err
	}
	for host, recipient := range recipients {
		if recipient == "" || kept[host] == recipient {
			continue
		}
		if err := p.Store.PutRecipient(ctx, host, recipient); err != nil {
			return err
		}
	}
	return nil
}

// regrant gives each host these rights, and that to fetch the bundle of its graph: one of graphs, or
// what the store holds.
func (p Press) regrant(ctx context.Context, grants map[string]etcd.Grants, graphs map[string]etcd.Graph) error {
	held, err := p.Store.Graphs(ctx)
	if err != nil {
		return err
	}
	maps.Copy(held, graphs)
	for _, host := range slices.Sorted(maps.Keys(grants)) {
		g := grants[host]
		g.Bundle = held[host].Bundle
		if err := p.Store.Regrant(ctx, host, g); err != nil {
			return err
		}
	}
	return nil
}
