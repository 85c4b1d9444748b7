package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"spore/engine"
	"spore/engine/manifest"
	"spore/etcd"
)

// Deploy writes what the plan says and returns the revisions of the graphs by host. If anybody has
// written a graph since the plan was made it is etcd.ErrChanged. Hosts keep the rights that their old
// graphs call for until they have the new ones.
func (p Press) Deploy(ctx context.Context, plan *Plan) (map[string]int64, error) {
	ctx, release, err := p.Store.LockGraphs(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	_, now, err := p.Store.Revisions(ctx)
	if err != nil {
		return nil, err
	}
	if !maps.Equal(now, plan.revisions) {
		return nil, etcd.ErrChanged
	}
	graphs, err := p.print(ctx, plan.next, plan.recipients)
	if err != nil {
		return nil, err
	}
	before, after := programs(plan.held), programs(plan.held, plan.next)
	held, wanted := Grants(before, p.Kinds), Grants(after, p.Kinds)
	both := make(map[string]etcd.Grants, len(wanted))
	for host, g := range wanted {
		both[host] = together(held[host], g)
	}
	if err := p.regrant(ctx, both, graphs); err != nil {
		return nil, err
	}
	revisions, err := p.Store.ReplaceGraphs(ctx, graphs, plan.revisions)
	if err != nil {
		return revisions, err
	}
	return revisions, p.regrant(ctx, wanted, graphs)
}

// programs are those of the manifests, later ones in place of earlier ones.
func programs(of ...map[string]*manifest.Manifest) map[string]*engine.Program {
	all := map[string]*engine.Program{}
	for _, manifests := range of {
		for host, m := range manifests {
			all[host] = m.Program
		}
	}
	return all
}

// together is what a or b grants.
func together(a, b etcd.Grants) etcd.Grants {
	union := func(a, b []string) []string {
		all := slices.Concat(a, b)
		slices.Sort(all)
		return slices.Compact(all)
	}
	return etcd.Grants{
		Exports: union(a.Exports, b.Exports), Collects: union(a.Collects, b.Collects), Keys: union(a.Keys, b.Keys),
	}
}

// A Landing is how a host stood after a deploy.
type Landing struct {
	Host  string
	State State // Silent and Working are not the last word
	// Failures are what could not be made as declared.
	Failures []string
}

// Await waits until every host that reports runs the graph of the revision given here, and has
// converged, failures included. It calls tell for each as it comes to that, and returns how all of
// them stood in the end, by name; that some never got there is ctx's error.
func (p Press) Await(ctx context.Context, revisions map[string]int64, tell func(Landing)) ([]Landing, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var last []Landing
	done, told := false, map[string]bool{}
	err := p.Store.Follow(ctx, func(f etcd.Fleet) {
		if done {
			return
		}
		last, done = nil, true
		for _, host := range slices.Sorted(maps.Keys(revisions)) {
			l := landing(f, host, revisions[host])
			last = append(last, l)
			landed := l.State == Converged || l.State == Failed
			if landed && !told[host] {
				told[host] = true
				tell(l)
			}
			done = done && (landed || l.State == Silent)
		}
		if done {
			cancel()
		}
	})
	if err == nil && !done {
		err = context.Cause(ctx)
	}
	if err != nil {
		return last, fmt.Errorf("wait for the hosts: %w", err)
	}
	return last, nil
}

func landing(f etcd.Fleet, host string, revision int64) Landing {
	s := hostStatus(host, f)
	l := Landing{Host: s.Name, State: s.State, Failures: s.Failures}
	if s.State != Silent && (f.Hosts[host].Graph < revision || !f.Converged([]string{host})) {
		l.State = Working
	}
	return l
}
