package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/cluster"
	"spore/internal/settle"
)

const (
	// settleBound is how long agents that have been started may take to report.
	settleBound = time.Minute
	// growBound is how long the initiator stays to see the fleet as it should be. It need not.
	growBound = 3 * time.Minute
	// growPoll is how often it looks: members come without an event.
	growPoll = 300 * time.Millisecond
)

// publish puts the graphs into the store with all that an initiator would else bring to the hosts.
func (d *detachment) publish(ctx context.Context) error {
	press := cluster.Press{Store: d.link.Store, Kinds: d.Kinds, MarkKey: d.Record.MarkKey}
	next, recipients := map[string]*manifest.Manifest{}, map[string]string{}
	maps.Copy(next, d.Settled)
	for host, h := range d.latest().Hosts {
		recipients[host] = h.Facts.Recipient
	}
	for _, j := range d.hosts {
		next[j.name], recipients[j.name] = j.manifest, j.recipient
	}
	_, err := press.Publish(ctx, next, d.Others, recipients)
	return err
}

// settle starts the agents that stay. Each takes over from that of its session, which ends.
func (d *detachment) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleBound)
	defer cancel()
	started := all(d.hosts, func(j *joining) error { return j.resident(ctx, nil, nil, "start") })
	var missing []string
	err := settle.Wait{Changed: d.moved, Is: func() bool {
		missing = d.absent()
		return len(missing) == 0
	}}.Until(ctx)
	if err == nil {
		return nil // the end of a session may have taken an answer along
	}
	return errors.Join(fmt.Errorf("no word from %s", strings.Join(missing, ", ")), started)
}

// absent are the hosts whose agents have not reported yet that stay.
func (d *detachment) absent() (hosts []string) {
	fleet := d.latest()
	for _, j := range d.hosts {
		if h := fleet.Hosts[j.name]; !h.Facts.Resident || !h.HasReport {
			hosts = append(hosts, j.name)
		}
	}
	return hosts
}

// grow stays until the fleet is as it should be: converged, and its store served by as many hosts as
// it can be. It comes to that without anybody, too.
func (d *detachment) grow(ctx context.Context) error {
	record := d.Record
	record.Complete = !slices.ContainsFunc(d.members, func(m *member) bool { return m.failed() })
	if err := d.Save(record); err != nil {
		return err
	}
	d.left = true
	ctx, cancel := context.WithTimeout(ctx, growBound)
	defer cancel()
	want, have := d.ideal(), -1
	for {
		members, err := d.link.Store.Members(ctx)
		if n := voters(members); err == nil && n != have {
			have = n
			d.say("the store is served by %d of %d hosts", have, want)
		}
		if have >= want && d.settled() {
			d.say("detached: the cluster %s goes on by itself; spore status tells how", record.Cluster.Name)
			return nil
		}
		select {
		case <-ctx.Done():
			d.say("the cluster %s goes on by itself; spore status tells how far it is", record.Cluster.Name)
			return nil
		case <-time.After(growPoll):
		}
	}
}

func voters(members []etcd.Member) (n int) {
	for _, m := range members {
		if !m.Learner && m.Host != "" {
			n++
		}
	}
	return n
}

// settled reports whether every host of the command has converged by itself, but for those that are
// silent: they have gone, and may be gone for long.
func (d *detachment) settled() bool {
	names := slices.Collect(maps.Keys(d.Settled))
	for _, j := range d.hosts {
		names = append(names, j.name)
	}
	fleet := d.latest()
	return fleet.Converged(slices.DeleteFunc(names, func(name string) bool { return !fleet.Hosts[name].HasReport }))
}

// ideal is how many members the store is to have: odd, and at most as many as there are hosts.
func (d *detachment) ideal() int {
	hosts := 0
	for _, h := range d.latest().Hosts {
		if h.Facts.Resident {
			hosts++
		}
	}
	n := min(d.Record.Cluster.Ideal, hosts)
	return max(1, n-(n+1)%2)
}
