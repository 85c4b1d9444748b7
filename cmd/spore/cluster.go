package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"spore/engine"
	"spore/etcd"
	"spore/internal/cluster"
)

func newCluster(s stdio) *cobra.Command {
	c := &cobra.Command{
		Use:   "cluster",
		Short: "The clusters that are known here",
		Long: `cluster is about the clusters that spore run --detach has left behind: what is kept of them here, in
$XDG_DATA_HOME/spore/clusters or ~/.local/share/spore/clusters, to come back to them.`,
	}
	c.AddCommand(newClusterList(s), newClusterExport(s), newClusterImport(s), newClusterAdmit(s))
	return c
}

func newClusterList(s stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the clusters that are known here",
		Long:  "list shows what is kept here of each cluster. It asks no host.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			r, err := records()
			if err != nil {
				return err
			}
			all, err := r.List()
			switch {
			case len(all) > 0:
				printClusters(s.out, r, all)
			case err == nil:
				fmt.Fprintln(s.err, cluster.NoneKnown)
			}
			return err
		},
	}
}

func printClusters(w io.Writer, r cluster.Records, all []cluster.Record) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tHOSTS\tFOUNDED\tCOMPLETE\tFILE")
	for _, record := range all {
		founded, complete := "–", "no"
		if !record.Cluster.Founded.IsZero() {
			founded = record.Cluster.Founded.Local().Format("2006-01-02 15:04")
		}
		if record.Complete {
			complete = "yes"
		}
		name := record.Cluster.Name
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", name, len(record.Hosts), founded, complete, r.Path(name))
	}
	_ = t.Flush()
}

func newClusterExport(s stdio) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "export [NAME]",
		Short: "Write what is kept of a cluster, for a colleague",
		Long: `export writes what it takes to come back to a cluster: its hosts, and the key of its authority. Whoever
has that may do anything to the hosts of the cluster, so it is written to no terminal.`,
		Example: "  spore cluster export home | age -r … >home.age\n  spore cluster export home --output home.json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := records()
			if err != nil {
				return err
			}
			record, err := r.Pick(strings.Join(args, ""))
			if err != nil {
				return err
			}
			content, err := r.Export(record.Cluster.Name)
			if err != nil {
				return err
			}
			return writeKeys(s, output, content, "the key of the cluster: whoever has it may do anything to its hosts")
		},
	}
	c.Flags().StringVar(&output, "output", "", "a `FILE` to write it to, which nobody else may read")
	return c
}

// writeKeys writes what holds a key to a file, or to standard output, and says what is in it.
func writeKeys(s stdio, path string, content []byte, what string) error {
	if path == "" && isTerminal(s.out) {
		return fmt.Errorf("it holds %s, and is not shown on a terminal: use --output, or a pipe", what)
	}
	if path == "" {
		if _, err := s.out.Write(content); err != nil {
			return fmt.Errorf("write to standard output: %w", err)
		}
	} else if err := cluster.WritePrivate(path, content); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	fmt.Fprintln(s.err, "it holds "+what)
	return nil
}

func newClusterImport(s stdio) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Keep what a colleague exported",
		Long:  "import keeps what spore cluster export wrote, from FILE or standard input. It asks no host.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			content, err := readFile(s.in, strings.Join(args, ""))
			if err != nil {
				return fmt.Errorf("import cluster: %w", err)
			}
			r, err := records()
			if err != nil {
				return err
			}
			record, err := r.Import(content, force)
			if errors.Is(err, cluster.ErrOther) {
				return fmt.Errorf("%w: --force puts this one in its place", err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(s.err, "cluster %s, %s, is kept in %s\n", record.Cluster.Name,
				count(len(record.Hosts), "host"), r.Path(record.Cluster.Name))
			return nil
		},
	}
	c.Flags().BoolVar(&force, "force", false, "replace another record of the same name")
	return c
}

// readFile reads a file, or standard input where there is none or it is called -.
func readFile(in io.Reader, path string) ([]byte, error) {
	if path == "" || path == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(path)
}

// An admission has a host join a cluster by hand.
type admission struct {
	clusterFlags
	graph, output string
}

func newClusterAdmit(s stdio) *cobra.Command {
	var a admission
	c := &cobra.Command{
		Use:   "admit HOST --graph GRAPH",
		Short: "Make credentials for a host that joins by hand",
		Long: `admit makes HOST known to the store of a cluster, with the rights that its graph needs, and writes
credentials for it. With them a machine that nobody reaches by SSH joins the exchange, if it reaches the
members of the store:

  spore run --file g.yaml --hostname HOST --seeds URLS --credentials FILE

The URLs are told. A graph that later needs other rights takes another admit.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions, // it is no host of the cluster yet
		RunE: func(c *cobra.Command, args []string) error {
			ctx, _, stop := signals(c.Context())
			defer stop()
			return a.admit(ctx, s, args[0])
		},
	}
	a.register(c)
	c.Flags().StringVar(&a.graph, "graph", "", "the `GRAPH` file that the host is to run")
	c.Flags().StringVar(&a.output, "output", "", "a `FILE` to write the credentials to, which nobody else may read")
	_ = c.MarkFlagRequired("graph")
	return c
}

func (a *admission) admit(ctx context.Context, s stdio, host string) error {
	if a.output == "" && isTerminal(s.out) {
		return errors.New("credentials are not shown on a terminal: use --output, or a pipe")
	}
	b := newBehaviour(a.logger(s))
	defer b.hub.Close()
	manifests, err := b.load([]string{a.graph})
	if err != nil {
		return err
	}
	link, record, err := a.open(ctx, s)
	if err != nil {
		return err
	}
	defer link.Close()
	programs, err := a.programs(ctx, link, b)
	if err != nil {
		return outcome(ctx, err)
	}
	if programs[host] != nil {
		return fmt.Errorf("admit %s: it is a host of cluster %s already", host, record.Cluster.Name)
	}
	programs[host] = manifests[0].Program
	content, err := credentials(ctx, link, record, host, cluster.Grants(programs, b.kinds)[host])
	if err != nil {
		return outcome(ctx, err)
	}
	seeds, err := link.Store.Endpoints(ctx)
	if err != nil {
		return outcome(ctx, err)
	}
	fmt.Fprintln(s.err, "its seeds are "+strings.Join(seeds, ","))
	return writeKeys(s, a.output, content, "a key with which one is "+host+" to the cluster")
}

// programs are those of the hosts of the cluster.
func (a *admission) programs(ctx context.Context, link *cluster.Link, b behaviour) (map[string]*engine.Program, error) {
	graphs, err := link.Store.Graphs(ctx)
	if err != nil {
		return nil, err
	}
	manifests, err := cluster.Press{Store: link.Store, Kinds: b.kinds}.Load(ctx, graphs)
	if err != nil {
		return nil, err
	}
	programs := make(map[string]*engine.Program, len(manifests)+1)
	for _, host := range slices.Sorted(maps.Keys(manifests)) {
		programs[host] = manifests[host].Program
	}
	return programs, nil
}

func credentials(ctx context.Context, link *cluster.Link, record cluster.Record, host string, g etcd.Grants) ([]byte, error) {
	authority, err := record.Authority()
	if err != nil {
		return nil, err
	}
	c, err := link.Store.Admit(ctx, authority, host, g)
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(c)
	return append(content, '\n'), err
}
