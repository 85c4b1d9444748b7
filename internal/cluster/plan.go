package cluster

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"spore/engine/manifest"
	"spore/etcd"
	"spore/remote"
)

// A HostPlan is what a deploy would change of one host's graph.
type HostPlan struct {
	Host string
	New  bool // there is no graph for it yet, or none that can be read
	Down bool // it does not report: it takes the graph when it returns
	// Written says that its graph is to be written: it may be without any Difference in what it
	// declares.
	Written     bool
	Differences []Difference
}

// A Plan is what a deploy would write, made from the store as it was at one moment.
type Plan struct {
	Hosts []HostPlan // by name

	next       map[string]*manifest.Manifest // of the hosts that are to be written
	held       map[string]*manifest.Manifest // as the store has them, of all hosts
	revisions  map[string]int64              // of those
	recipients map[string]string
}

// An UnknownHostsError tells of hosts that do not belong to a cluster.
type UnknownHostsError struct{ Hosts, Known []string }

func (e *UnknownHostsError) Error() string {
	verb := "is no host of it"
	if len(e.Hosts) > 1 {
		verb = "are no hosts of it"
	}
	return fmt.Sprintf("%s %s, which has %s: spore join --remote has further hosts join",
		strings.Join(e.Hosts, ", "), verb, strings.Join(e.Known, ", "))
}

// Plan finds out how the graphs of hosts, next, differ from those that the store holds. A host that
// the cluster does not have is an *UnknownHostsError.
func (p Press) Plan(ctx context.Context, next map[string]*manifest.Manifest) (*Plan, error) {
	graphs, revisions, err := p.Store.Revisions(ctx)
	if err != nil {
		return nil, err
	}
	now, err := p.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	if err := knownTo(now, graphs, next); err != nil {
		return nil, err
	}
	plan := &Plan{revisions: revisions, next: map[string]*manifest.Manifest{}}
	if plan.held, err = p.held(ctx, graphs, next); err != nil {
		return nil, err
	}
	if plan.recipients, err = p.Store.Recipients(ctx); err != nil {
		return nil, err
	}
	for host, h := range now.Hosts {
		if h.Facts.Recipient != "" {
			plan.recipients[host] = h.Facts.Recipient
		}
	}
	for _, host := range slices.Sorted(maps.Keys(next)) {
		h, err := p.planHost(host, plan.recipients[host], plan.held[host], next[host], graphs[host])
		if err != nil {
			return nil, err
		}
		h.Down = !now.Hosts[host].HasReport
		if h.Written {
			plan.next[host] = next[host]
		}
		plan.Hosts = append(plan.Hosts, h)
	}
	return plan, nil
}

func knownTo(now etcd.Fleet, graphs map[string]etcd.Graph, next map[string]*manifest.Manifest) error {
	known := map[string]bool{}
	for host := range graphs {
		known[host] = true
	}
	for host := range now.Hosts {
		known[host] = true
	}
	e := &UnknownHostsError{Known: slices.Sorted(maps.Keys(known))}
	for _, host := range slices.Sorted(maps.Keys(next)) {
		if !known[host] {
			e.Hosts = append(e.Hosts, host)
		}
	}
	if len(e.Hosts) > 0 {
		return e
	}
	return nil
}

// held understands the graphs of all hosts. What a host is to have instead may be beyond reading: it
// was written by another version.
func (p Press) held(ctx context.Context, graphs map[string]etcd.Graph, next map[string]*manifest.Manifest) (map[string]*manifest.Manifest, error) {
	others, replaced := map[string]etcd.Graph{}, map[string]etcd.Graph{}
	for host, g := range graphs {
		if next[host] == nil {
			others[host] = g
		} else {
			replaced[host] = g
		}
	}
	all, err := p.Load(ctx, others)
	if err != nil {
		return nil, err
	}
	if old, err := p.Load(ctx, replaced); err == nil {
		maps.Copy(all, old)
		return all, nil
	}
	for host, g := range replaced {
		one, err := p.Load(ctx, map[string]etcd.Graph{host: g})
		if ctx.Err() != nil {
			return nil, err
		}
		maps.Copy(all, one)
	}
	return all, nil
}

// planHost compares next with what the store holds, old: in it references stay what they are, and so
// they have to in what it is compared with.
func (p Press) planHost(host, recipient string, old, next *manifest.Manifest, g etcd.Graph) (HostPlan, error) {
	plain, err := manifest.Parse(next.File, next.Travels, manifest.Options{Kinds: p.Kinds})
	if err != nil {
		return HostPlan{}, err
	}
	h := HostPlan{Host: host, New: old == nil, Differences: differences(old, plain, p.Kinds)}
	secrets := p.secretChanges(host, recipient, g, next.Secrets)
	h.Written = h.New || len(secrets) > 0 || g.Name != next.Name || g.Files != next.Digest() ||
		g.Bundle == "" && len(next.Files) > 0
	if len(h.Differences) == 0 && h.Written && !h.New && (g.Name != next.Name || g.Text != string(next.Travels)) {
		h.Differences = []Difference{{Sign: changed, What: "text, as in comments or order"}}
	}
	h.Differences = append(h.Differences, secrets...)
	return h, nil
}

// Revisions are those of the graphs that the hosts of the plan had when it was made.
func (p *Plan) Revisions() map[string]int64 {
	all := make(map[string]int64, len(p.Hosts))
	for _, h := range p.Hosts {
		all[h.Host] = p.revisions[h.Host]
	}
	return all
}

// Empty says that there is nothing to be written.
func (p *Plan) Empty() bool { return len(p.next) == 0 }

// Writes counts the hosts for whom there is something to be written.
func (p *Plan) Writes() int { return len(p.next) }

// Write writes the plan for people, hosts that are alike together; diff has it show how texts differ.
func (p *Plan) Write(w io.Writer, diff, colour bool) error {
	var order []string // of what is to happen
	groups := map[string][]string{}
	for _, h := range p.Hosts {
		what := h.render(diff, colour)
		if groups[what] == nil {
			order = append(order, what)
		}
		name := remote.Clean(h.Host)
		if h.Down && h.Written {
			name += " (down: it takes this when it returns)"
		}
		groups[what] = append(groups[what], name)
	}
	var b strings.Builder
	for _, what := range order {
		b.WriteString(cell{strings.Join(groups[what], ", "), bold}.render(colour) + "\n" + what)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// render tells what is to happen to a host, without its name.
func (h HostPlan) render(diff, colour bool) string {
	if !h.Written {
		return "  no difference: nothing is written\n"
	}
	var b strings.Builder
	if h.New {
		b.WriteString("  its first graph, or one in place of one that this version cannot read\n")
	}
	for _, d := range h.Differences {
		d.render(&b, diff, colour)
	}
	if len(h.Differences) == 0 && !h.New {
		b.WriteString("  no difference, but what travels with it is not in the store yet\n")
	}
	return b.String()
}

func (d Difference) render(b *strings.Builder, diff, colour bool) {
	styles := map[string]style{added: green, removed: red, changed: yellow}
	fmt.Fprintf(b, "  %s\n", cell{d.Sign + " " + remote.Clean(d.What), styles[d.Sign]}.render(colour))
	for _, c := range d.Changes {
		fmt.Fprintf(b, "      %s\n", remote.Clean(c.String()))
		if !diff {
			continue
		}
		for line := range strings.Lines(c.Diff) {
			fmt.Fprintf(b, "        %s\n", remote.Clean(strings.TrimSuffix(line, "\n")))
		}
	}
}
