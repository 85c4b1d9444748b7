package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"spore/internal/cluster"
	"spore/internal/fleet"
	"spore/remote"
)

// destroyFlags are the flags of spore destroy.
type destroyFlags struct {
	clusterFlags
	yes bool
}

func newDestroy(s stdio) *cobra.Command {
	f := &destroyFlags{}
	c := &cobra.Command{
		Use:   "destroy",
		Short: "End a cluster and take it away from its hosts",
		Long: `destroy ends agents and store on all hosts of a cluster and takes all of spore away from them, the
cached binaries included, then what is kept here of the cluster. What the graphs made of the hosts
stays as it is. There is no way back.

Of hosts that cannot be reached the record stays, and to run it again goes on with these.

Exit codes: 0 nothing is left; 1 wrong usage, or not confirmed, and nothing was changed; 4 something is
left on some host; 130 interrupted.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context(), s) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	f.register(c)
	return c
}

func (f *destroyFlags) run(ctx context.Context, s stdio) error {
	ctx, _, stop := signals(ctx)
	defer stop()
	kept, err := records()
	if err != nil {
		return err
	}
	record, err := f.record()
	if err != nil {
		return err
	}
	if f.executable, err = fleet.Binaries(version()); err != nil {
		return err
	}
	reacher, err := f.reacher(record, f.logger(s))
	if err != nil {
		return err
	}
	name := record.Cluster.Name
	fmt.Fprintf(s.out, "This ends cluster %s, and takes its agents, its store and all it holds away from %s:\n", name, count(len(record.Hosts), "host"))
	for _, h := range record.Hosts {
		fmt.Fprintf(s.out, "  %s (%s)\n", h.Name, h.Address)
	}
	err = consent{about: "destroy", question: "type the cluster's name to go on", answer: name, yes: f.yes, noInput: f.noInput}.ask(ctx)
	if err != nil {
		return err
	}
	var line sync.Mutex // hosts end at the same time
	d := &cluster.Destruction{
		Record: record, Connect: reacher.Connect,
		Tell: func(host, format string, a ...any) {
			line.Lock()
			defer line.Unlock()
			fmt.Fprintf(s.out, "%s: %s\n", host, remote.Clean(fmt.Sprintf(format, a...)))
		},
	}
	return f.forget(ctx, s, kept, name, d.Run(ctx))
}

// forget takes the record away, or makes it that of the hosts on which something is left.
func (f *destroyFlags) forget(ctx context.Context, s stdio, kept cluster.Records, name string, left []cluster.HostError) error {
	for _, e := range left {
		fmt.Fprintf(s.err, "%s: %s\n", e.Host, remote.Clean(e.Err.Error()))
	}
	if len(left) == 0 {
		if err := kept.Remove(name); err != nil {
			return &exitError{exitFailed, err}
		}
		fmt.Fprintf(s.out, "cluster %s is no more\n", name)
		return nil
	}
	_, err := kept.Update(name, func(r *cluster.Record) error {
		r.Rest(left)
		return nil
	})
	if err == nil {
		err = errors.New("something is left on " + count(len(left), "host") + ": to run this again goes on with that")
	}
	return unreached(ctx, err)
}
