package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"spore/internal/cluster"
	"spore/internal/fleet"
	"spore/remote"
)

// leaveFlags are the flags of spore leave.
type leaveFlags struct {
	clusterFlags
	yes, force bool
}

func newLeave(s stdio) *cobra.Command {
	f := &leaveFlags{}
	c := &cobra.Command{
		Use:   "leave HOST",
		Short: "Have a host leave its cluster",
		Long: `leave takes a host out of its cluster: others take over what it does for the store, its agent ends and
withdraws what it exports, and all that spore keeps on it goes, but for the cache of binaries. What its
graph made of it stays as it is. To run it again finishes what was interrupted.

A host that cannot be reached stays in the cluster, unless --force is given: then its agent stays on it
and keeps it as its last graph says, but it can do nothing to the cluster any more.

Exit codes: 0 done; 1 wrong usage, or not confirmed, and nothing was changed; 2 it failed on the way;
4 the cluster or the host was not reached, or, with --force, something stays on the host; 130
interrupted.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c.Context(), s, args[0]) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	fl.BoolVar(&f.force, "force", false, "go on if the host cannot be reached")
	f.register(c)
	return c
}

func (f *leaveFlags) run(ctx context.Context, s stdio, host string) error {
	ctx, _, stop := signals(ctx)
	defer stop()
	kept, err := records()
	if err != nil {
		return err
	}
	if f.executable, err = fleet.Binaries(version()); err != nil {
		return err
	}
	link, record, err := f.open(ctx, s)
	if err != nil {
		return err
	}
	defer link.Close()
	l := &cluster.Leave{
		Record: record, Host: host, Force: f.force, Store: link.Store, Conn: link.Conn,
		Tell: func(format string, a ...any) {
			fmt.Fprintf(s.out, "%s: %s\n", host, remote.Clean(fmt.Sprintf(format, a...)))
		},
		Drop: func(host string) error {
			_, err := kept.Update(record.Cluster.Name, func(r *cluster.Record) error {
				r.Drop(host)
				return nil
			})
			return err
		},
	}
	if err := l.Check(ctx); err != nil {
		return &exitError{exitUsage, err}
	}
	err = consent{
		about: "cluster " + record.Cluster.Name, question: fmt.Sprintf("have %s leave? [y/N]", host), yes: f.yes, noInput: f.noInput,
	}.ask(ctx)
	if err != nil {
		return err
	}
	err = l.Run(ctx)
	if ctx.Err() != nil {
		return halted(ctx, err, "to run this again finishes the job")
	}
	var stayed *cluster.StayedError
	var away *cluster.AwayError
	if errors.As(err, &stayed) || errors.As(err, &away) {
		return unreached(ctx, err)
	}
	if err == nil {
		fmt.Fprintf(s.out, "%s: has left cluster %s\n", host, record.Cluster.Name)
	}
	return outcome(ctx, err)
}
