package cluster

import (
	"context"
	"errors"
	"sync"
)

// A Destruction ends a cluster on all its hosts.
type Destruction struct {
	Record  Record
	Connect func(context.Context, HostRecord) (Conn, error)
	Tell    func(host, format string, a ...any)
}

// Run takes away what resides on every host, all at the same time, the cached binaries included. It
// returns the hosts on which that failed, and why. A host that belongs to another cluster by now is
// left alone, which is no failure.
func (d *Destruction) Run(ctx context.Context) []HostError {
	errs := make([]error, len(d.Record.Hosts))
	var each sync.WaitGroup
	for i, h := range d.Record.Hosts {
		each.Go(func() { errs[i] = d.remove(ctx, h) })
	}
	each.Wait()
	var failed []HostError
	for i, err := range errs {
		if err != nil {
			failed = append(failed, HostError{d.Record.Hosts[i].Name, err})
		}
	}
	return failed
}

func (d *Destruction) remove(ctx context.Context, h HostRecord) error {
	c, err := d.Connect(ctx, h)
	if err != nil {
		return err
	}
	defer c.Close()
	err = removeFrom(ctx, c, h.Name, d.Record.Cluster.ID, true)
	var stranger *StrangerError
	switch {
	case errors.As(err, &stranger):
		d.Tell(h.Name, "belongs to the cluster %s by now, and was left alone", stranger.Name)
		return nil
	case err == nil:
		d.Tell(h.Name, "removed")
	}
	return err
}

// Rest makes the record that of the hosts that are left.
func (r *Record) Rest(left []HostError) {
	rest := make([]HostRecord, 0, len(left))
	for _, e := range left {
		if h, ok := r.Host(e.Host); ok {
			rest = append(rest, h)
		}
	}
	r.Hosts = rest
}
