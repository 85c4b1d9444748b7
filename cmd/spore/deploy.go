package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/cluster"
	"spore/internal/fleet"
	"spore/internal/secret"
	"spore/remote"
)

// deployFlags are the flags of spore deploy.
type deployFlags struct {
	clusterFlags
	hosts, limit string
	yes, diff    bool
	wait         seconds
}

const defaultWait = "10m"

func newDeploy(s stdio) *cobra.Command {
	f := &deployFlags{wait: never}
	c := &cobra.Command{
		Use:   "deploy GRAPH...",
		Short: "Give hosts of a cluster new graphs",
		Long: `deploy shows how graphs differ from those that a cluster's hosts have, asks, and writes them: each to
the hosts that it names in its own "remote". That is the difference between graphs. What a host will
change is another matter: it depends on how the host is then.

A host that is down takes its graph when it returns. A host whose graph is the same, the secrets that it
refers to included, is left alone. If somebody else deploys meanwhile, nothing is written.

Exit codes: 0 done; 1 wrong usage or graph, or not confirmed, and nothing was written; 2 the store
refused, or, with --wait, some resource failed or it took too long; 4 the cluster, or with --wait some
host, was silent; 130 interrupted.`,
		Example: "  spore deploy web.yaml db.yaml --diff\n  spore deploy web.yaml --yes --wait=5m",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return f.run(c.Context(), s, args) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	fl.BoolVar(&f.diff, "diff", false, "show how texts differ")
	fl.Var(&f.wait, "wait", "wait until the hosts that are up have converged, for at most this long")
	fl.Lookup("wait").NoOptDefVal = defaultWait
	fl.StringVar(&f.hosts, "hosts", "", "a `FILE` of host addresses, one a line, for the graphs that name no host")
	fl.StringVar(&f.limit, "limit", "", "only the hosts whose names match one of these `PATTERNS`, such as web*,db[1:3],!web7")
	f.register(c)
	return c
}

func (f *deployFlags) run(ctx context.Context, s stdio, paths []string) error {
	ctx, _, stop := signals(ctx)
	defer stop()
	var known secret.Redactor
	b := newBehaviour(slog.New(slog.DiscardHandler))
	defer b.hub.Close()
	b.secrets = (&runFlags{noInput: f.noInput}).secrets(ctx, &known)
	next, err := f.graphs(b, s, paths)
	if err != nil {
		return err
	}
	link, record, err := f.open(ctx, s)
	if err != nil {
		return err
	}
	defer link.Close()
	d := &deployment{
		deployFlags: f, stdio: s, redact: known.Redact, name: record.Cluster.Name,
		press: cluster.Press{Store: link.Store, Kinds: b.kinds, MarkKey: record.MarkKey},
	}
	return d.run(ctx, next)
}

// graphs reads the graph files: which host is to have which.
func (f *deployFlags) graphs(b behaviour, s stdio, paths []string) (map[string]*manifest.Manifest, error) {
	manifests, err := b.load(paths)
	if err != nil {
		return nil, err
	}
	for _, m := range manifests {
		for _, w := range m.Warnings {
			fmt.Fprintln(s.err, w)
		}
	}
	hosts, err := fleet.Hosts(manifests, fleet.Selection{File: f.hosts, Limit: f.limit})
	if err != nil {
		return nil, err
	}
	next := make(map[string]*manifest.Manifest, len(hosts))
	for _, h := range hosts {
		next[h.Name] = h.Manifest
	}
	return next, nil
}

// A deployment brings graphs to a cluster that has been reached.
type deployment struct {
	*deployFlags
	stdio
	redact func(string) string
	name   string // of the cluster
	press  cluster.Press
}

func (d *deployment) run(ctx context.Context, next map[string]*manifest.Manifest) error {
	plan, err := d.press.Plan(ctx, next)
	if err != nil {
		var unknown *cluster.UnknownHostsError
		if errors.As(err, &unknown) {
			return &exitError{exitUsage, fmt.Errorf("deploy to cluster %s: %w", d.name, err)}
		}
		return halted(ctx, err, "nothing was written")
	}
	if err := d.show(plan); err != nil {
		return outcome(ctx, err)
	}
	if plan.Empty() {
		return d.await(ctx, plan.Revisions())
	}
	err = consent{
		about: "cluster " + d.name, question: fmt.Sprintf("write this for %s? [y/N]", count(plan.Writes(), "host")), yes: d.yes, noInput: d.noInput,
	}.ask(ctx)
	if err != nil {
		return err
	}
	revisions, err := d.press.Deploy(ctx, plan)
	if errors.Is(err, etcd.ErrChanged) {
		err = fmt.Errorf("%w: run this again to see what it would change now", err)
	}
	if err != nil {
		err = fmt.Errorf("deploy to cluster %s: %s; written for %d of %d hosts", d.name, d.redact(err.Error()), len(revisions), plan.Writes())
		return halted(ctx, err, "to run this again shows whether the store has the graphs")
	}
	fmt.Fprintf(d.out, "written for %s\n", count(len(revisions), "host"))
	all := plan.Revisions()
	maps.Copy(all, revisions)
	return d.await(ctx, all)
}

// show shows the plan.
func (d *deployment) show(plan *cluster.Plan) error {
	var text strings.Builder
	colour := isTerminal(d.out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	_ = plan.Write(&text, d.diff, colour) // a Builder takes everything
	if !plan.Empty() {
		text.WriteString("This is the difference between the graphs. What changes on a host depends on how it is then.\n")
	}
	_, err := io.WriteString(d.out, d.redact(text.String()))
	return err
}

// await waits for the hosts, if that is asked for, and tells of each.
func (d *deployment) await(ctx context.Context, revisions map[string]int64) error {
	if d.wait == never {
		return nil
	}
	bounded, cancel := context.WithTimeoutCause(ctx, time.Duration(d.wait), fmt.Errorf("it has taken longer than %v", &d.wait))
	defer cancel()
	last, err := d.press.Await(bounded, revisions, func(l cluster.Landing) {
		fmt.Fprintf(d.out, "%s: %s\n", l.Host, l.State)
		for _, failure := range l.Failures {
			fmt.Fprintf(d.out, "  %s\n", d.redact(strings.ReplaceAll(failure, "\n", "\n    ")))
		}
	})
	code := exitOK
	for _, l := range last {
		switch {
		case l.State == cluster.Silent:
			fmt.Fprintf(d.out, "%s: down; it takes its graph when it returns\n", l.Host)
			code = exitUnreachable
		case l.State == cluster.Working:
			fmt.Fprintf(d.out, "%s: not converged yet\n", l.Host)
		case l.State == cluster.Failed && code == exitOK:
			code = exitFailed
		}
	}
	if err != nil {
		const so = "the store holds the graphs, and the hosts go on"
		return halted(ctx, fmt.Errorf(so+": %s", remote.Clean(err.Error())), so)
	}
	return exit(code)
}
