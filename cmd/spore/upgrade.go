package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"spore/etcd"
	"spore/internal/cluster"
	"spore/internal/fleet"
	"spore/remote"
)

// upgradeFlags are the flags of spore upgrade.
type upgradeFlags struct {
	clusterFlags
	limit string
	yes   bool
}

func newUpgrade(s stdio) *cobra.Command {
	f := &upgradeFlags{}
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "Have the hosts of a cluster run this binary",
		Long: `upgrade brings this very binary to the hosts of a cluster, one after the other: those that serve the
store last, and of these the leader. Hosts go on converging meanwhile. Each has to show that it is as
well as before until the next has its turn; one that does not come up goes back to the binary that it
ran, and there the upgrade stops. To run it again goes on.

For hosts of another system the binary spore-<os>-<arch> is taken that lies beside this one.

Exit codes: 0 every host runs it; 1 wrong usage, or not confirmed; 2 a host failed; 4 the cluster was
not reached, or hosts that are down were left; 130 interrupted.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context(), s) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	fl.StringVar(&f.limit, "limit", "", "only the hosts whose names match one of these `PATTERNS`, such as web*,db[1:3],!web7")
	f.register(c)
	return c
}

func (f *upgradeFlags) run(ctx context.Context, s stdio) error {
	ctx, _, stop := signals(ctx)
	defer stop()
	binaries, err := fleet.Binaries(version())
	if err != nil {
		return err
	}
	f.executable = binaries
	link, record, err := f.open(ctx, s)
	if err != nil {
		return err
	}
	defer link.Close()
	u := &cluster.Upgrade{
		Look: link.Status, Conn: link.Conn,
		Facts: func(ctx context.Context) (map[string]etcd.Facts, error) { return facts(ctx, link.Store) },
		Binary: func(goos, goarch string) (string, error) {
			b, err := binaries(goos, goarch)
			return b.SHA256, err
		},
		Tell: func(host, format string, a ...any) {
			fmt.Fprintf(s.out, "%s: %s\n", remote.Clean(host), remote.Clean(fmt.Sprintf(format, a...)))
		},
	}
	if u.Hosts, err = f.chosen(ctx, link, record); err != nil {
		return outcome(ctx, err)
	}
	err = consent{
		about: "cluster " + record.Cluster.Name, yes: f.yes, noInput: f.noInput,
		question: fmt.Sprintf("upgrade %s to %s? [y/N]", count(len(u.Hosts), "host"), version()),
	}.ask(ctx)
	if err != nil {
		return err
	}
	done, err := u.Run(ctx)
	return f.report(ctx, s, done, err)
}

// facts are what the hosts tell of themselves.
func facts(ctx context.Context, store *etcd.Store) (map[string]etcd.Facts, error) {
	now, err := store.Now(ctx)
	all := make(map[string]etcd.Facts, len(now.Hosts))
	for name, h := range now.Hosts {
		all[name] = h.Facts
	}
	return all, err
}

// chosen are the hosts of the record and the store that --limit admits.
func (f *upgradeFlags) chosen(ctx context.Context, link *cluster.Link, record cluster.Record) ([]string, error) {
	now, err := link.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range now.Hosts {
		names = append(names, name)
	}
	for _, h := range record.Hosts {
		names = append(names, h.Name)
	}
	slices.Sort(names)
	names, err = fleet.Limit(slices.Compact(names), f.limit)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return names, nil
}

// report tells how it ended, and returns the exit code.
func (f *upgradeFlags) report(ctx context.Context, s stdio, u cluster.Upgraded, err error) error {
	for _, list := range []struct {
		what  string
		hosts []string
	}{{"on the new binary", u.Done}, {"left as they are", u.Left}, {"not upgraded", u.Pending}} {
		if len(list.hosts) > 0 {
			fmt.Fprintf(s.out, "%s: %s\n", list.what, remote.Clean(strings.Join(list.hosts, ", ")))
		}
	}
	if err != nil {
		const so = "to run this again goes on from there"
		return halted(ctx, fmt.Errorf("%w; %s", err, so), so)
	}
	if len(u.Left) > 0 {
		return &exitError{exitUnreachable, errors.New("some hosts were left: run this again when they are back")}
	}
	return nil
}
