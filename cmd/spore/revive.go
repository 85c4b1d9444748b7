package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"spore/internal/cluster"
	"spore/remote"
)

// reviveFlags are the flags of spore revive.
type reviveFlags struct {
	clusterFlags
	snapshot           string
	yes, force, follow bool
}

func newRevive(s stdio) *cobra.Command {
	f := &reviveFlags{}
	c := &cobra.Command{
		Use:   "revive (HOST | --follow)",
		Short: "Give a cluster that has lost most of its store a store again",
		Long: `revive is for a cluster whose store has lost the majority of its members for good. It makes what HOST,
one of those that are left, has of the store a store of that host alone, and tells all other hosts to
follow. From there the cluster takes further members by itself.

What is lost: all that HOST had not yet heard of when the store stopped, which is what the lost members
alone knew: seconds at most. With --snapshot, all that was written since that snapshot was taken, too:
graphs go back to what they were, hosts that have joined since have to join again, hosts that have left
since are known again, and so are rights and certificates of then. A member of the store takes a
snapshot each hour and keeps the last six, and one a day for a week. Hosts export again by themselves
what they exported.

The store of every other host that is told to follow goes. A host that could not be told does not find
the store: when it is back, spore revive --follow tells it. Never have HOST revived if the others may
still agree among themselves: there would be two stores. While the store answers, revive refuses,
unless --force is given.

Exit codes: 0 done; 1 wrong usage, or not confirmed, or the store answers, and nothing was changed; 2 it
failed; 4 some hosts could not be told; 130 interrupted.`,
		Example: "  spore revive web1\n  spore revive web1 --snapshot latest\n  spore revive --follow",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return f.run(c.Context(), s, args) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.snapshot, "snapshot", "", "revive a snapshot that HOST has kept: its `NAME`, or latest; its last state if not given")
	fl.BoolVar(&f.follow, "follow", false, "only tell the hosts that are silent where the store is")
	fl.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	fl.BoolVar(&f.force, "force", false, "revive even if the store answers")
	f.register(c)
	return c
}

// stillThere is how long to look whether the store answers.
const stillThere = 5 * time.Second

func (f *reviveFlags) run(ctx context.Context, s stdio, args []string) error {
	if (len(args) == 1) == f.follow {
		return errors.New("say which host is to be revived, or --follow")
	}
	ctx, _, stop := signals(ctx)
	defer stop()
	record, err := f.record()
	if err != nil {
		return err
	}
	reacher, err := f.reacher(record, f.logger(s))
	if err != nil {
		return err
	}
	var line sync.Mutex // hosts are told at the same time
	r := &cluster.Revival{
		Record: record, Snapshot: f.snapshot, Connect: reacher.Connect,
		Tell: func(host, format string, a ...any) {
			line.Lock()
			defer line.Unlock()
			fmt.Fprintf(s.out, "%s: %s\n", host, remote.Clean(fmt.Sprintf(format, a...)))
		},
	}
	if f.follow {
		return f.rejoin(ctx, s, reacher, r)
	}
	r.Host = args[0]
	if _, ok := record.Host(r.Host); !ok {
		return record.NoHost(r.Host)
	}
	if !f.force {
		if err := f.gone(ctx, reacher); err != nil {
			return err
		}
	}
	err = consent{
		about: "cluster " + record.Cluster.Name, yes: f.yes, noInput: f.noInput,
		question: fmt.Sprintf("make what %s has of the store the store of all, and drop that of the others? [y/N]", r.Host),
	}.ask(ctx)
	if err != nil {
		return err
	}
	left, err := r.Run(ctx)
	if err != nil {
		return halted(ctx, err, "spore status tells whether the store answers; if not, run this again")
	}
	return f.report(ctx, s, left)
}

// gone reports that the store answers, if it does.
func (f *reviveFlags) gone(ctx context.Context, reacher *cluster.Reacher) error {
	looking := *reacher
	looking.Timeout = min(looking.Timeout, stillThere)
	link, err := looking.Open(ctx)
	if err == nil {
		host := link.Host()
		_ = link.Close()
		return fmt.Errorf("the store answers, through %s, and nothing was changed: --force revives all the same", host)
	}
	if ctx.Err() != nil {
		return outcome(ctx, err)
	}
	return nil
}

// rejoin tells silent hosts where the store is.
func (f *reviveFlags) rejoin(ctx context.Context, s stdio, reacher *cluster.Reacher, r *cluster.Revival) error {
	link, err := reacher.Open(ctx)
	if err != nil {
		return outcome(ctx, err)
	}
	defer link.Close()
	left, err := r.Rejoin(ctx, link.Store)
	if err != nil {
		return outcome(ctx, err)
	}
	return f.report(ctx, s, left)
}

// report tells of hosts that could not be told.
func (f *reviveFlags) report(ctx context.Context, s stdio, left []cluster.HostError) error {
	for _, e := range left {
		fmt.Fprintf(s.err, "%s: %s\n", e.Host, remote.Clean(e.Err.Error()))
	}
	if len(left) == 0 {
		return nil
	}
	return unreached(ctx, fmt.Errorf("%s could not be told where the store is: spore revive --follow tells those that are back", count(len(left), "host")))
}
