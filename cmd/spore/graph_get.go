package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newGraphGet(s stdio) *cobra.Command {
	var f clusterFlags
	c := &cobra.Command{
		Use:   "get HOST",
		Short: "Print the graph that a host of a cluster is to run",
		Long:  "get prints the text of the graph that the store of a cluster holds for HOST. References to secrets stay references.",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, _, stop := signals(c.Context())
			defer stop()
			return getGraph(ctx, s, &f, args[0])
		},
	}
	f.register(c)
	return c
}

func getGraph(ctx context.Context, s stdio, f *clusterFlags, host string) error {
	link, record, err := f.open(ctx, s)
	if err != nil {
		return err
	}
	defer link.Close()
	graph, revision, err := link.Store.Graph(ctx, host)
	if err != nil {
		return outcome(ctx, err)
	}
	if revision == 0 {
		err := fmt.Errorf("get graph of %s: cluster %s has none for it", host, record.Cluster.Name)
		if _, known := record.Host(host); !known {
			err = record.NoHost(host)
		}
		return err
	}
	if _, err := io.WriteString(s.out, graph.Text); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}
