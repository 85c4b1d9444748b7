package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"spore/etcd"
	"spore/internal/resident"
)

// A Revival gives a cluster whose store has lost its majority for good a store again: that of one
// host, from which it grows anew.
type Revival struct {
	Record   Record
	Host     string
	Snapshot string // by its name on the host, or resident.LatestSnapshot; empty is the last state
	Connect  func(context.Context, HostRecord) (Conn, error)
	Tell     func(host, format string, a ...any)
}

// Run revives the store on the host and has all others follow it. It returns those that could not
// be told, and why: they do not find the store until Rejoin has told them.
func (r *Revival) Run(ctx context.Context) ([]HostError, error) {
	h, ok := r.Record.Host(r.Host)
	if !ok {
		return nil, r.Record.NoHost(r.Host)
	}
	revived, err := r.revive(ctx, h)
	if err != nil {
		return nil, fmt.Errorf("revive on %s: %w", r.Host, said(err))
	}
	r.Tell(r.Host, "serves the store, alone")
	others := slices.DeleteFunc(slices.Clone(r.Record.Hosts), func(h HostRecord) bool { return h.Name == r.Host })
	return r.rejoin(ctx, others, revived.Endpoints, nil), nil
}

func (r *Revival) revive(ctx context.Context, h HostRecord) (revived resident.Revived, err error) {
	c, err := r.Connect(ctx, h)
	if err != nil {
		return revived, err
	}
	defer c.Close()
	var info resident.Info
	if err := run(ctx, c, nil, &info, "info"); err != nil {
		return revived, err
	}
	switch {
	case info.Cluster != r.Record.Cluster.ID:
		return revived, errors.New("it does not belong to the cluster")
	case info.Store != resident.StoreMember:
		return revived, errors.New("it does not serve the store, and so has nothing to revive: choose a host that does")
	}
	verb := []string{"revive"}
	if r.Snapshot != "" {
		verb = append(verb, "--snapshot", r.Snapshot)
	}
	err = run(ctx, c, nil, &revived, verb...)
	return revived, err
}

// Rejoin tells hosts that are silent where the store is. It returns those that could not be told.
func (r *Revival) Rejoin(ctx context.Context, store *etcd.Store) ([]HostError, error) {
	now, err := store.Now(ctx)
	if err != nil {
		return nil, err
	}
	endpoints, err := store.Endpoints(ctx)
	if err != nil {
		return nil, err
	}
	members, err := store.Members(ctx)
	if err != nil {
		return nil, err
	}
	var silent []HostRecord
	for _, h := range r.Record.Hosts {
		if !now.Hosts[h.Name].HasReport {
			silent = append(silent, h)
		}
	}
	return r.rejoin(ctx, silent, endpoints, members), nil
}

func (r *Revival) rejoin(ctx context.Context, hosts []HostRecord, endpoints []string, members []etcd.Member) []HostError {
	errs := make([]error, len(hosts))
	var each sync.WaitGroup
	for i, h := range hosts {
		f := resident.Following{Cluster: r.Record.Cluster.ID, Endpoints: endpoints}
		f.Member = slices.ContainsFunc(members, func(m etcd.Member) bool { return m.Host == h.Name })
		each.Go(func() {
			if errs[i] = r.tell(ctx, h, f); errs[i] == nil {
				r.Tell(h.Name, "follows")
			}
		})
	}
	each.Wait()
	var left []HostError
	for i, err := range errs {
		if err != nil {
			left = append(left, HostError{hosts[i].Name, said(err)})
		}
	}
	return left
}

func (r *Revival) tell(ctx context.Context, h HostRecord, f resident.Following) error {
	c, err := r.Connect(ctx, h)
	if err != nil {
		return err
	}
	defer c.Close()
	return run(ctx, c, f, nil, "follow")
}
