package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"spore/internal/cluster"
	"spore/internal/view"
)

type logsFlags struct {
	clusterFlags
	cluster.LogsOptions
	json, diff bool
}

func newLogs(s stdio) *cobra.Command {
	var f logsFlags
	c := &cobra.Command{
		Use:   "logs HOST",
		Short: "Show what the agent of a host has done",
		Long:  "logs shows the records that the agent on HOST keeps, as spore run shows those of its agents. It asks that host alone.",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, _, stop := signals(c.Context())
			defer stop()
			return f.run(ctx, s, args[0])
		},
	}
	f.register(c)
	fl := c.Flags()
	fl.BoolVarP(&f.Follow, "follow", "f", false, "go on with what is to come, until interrupted")
	f.Lines = 100
	fl.Var(number{&f.Lines, 0}, "lines", "so many of the last records; 0 is all there are")
	fl.BoolVar(&f.json, "json", false, "write one JSON object a line")
	fl.BoolVar(&f.diff, "diff", false, "show how texts differ")
	return c
}

func (f *logsFlags) run(ctx context.Context, s stdio, name string) error {
	record, err := f.record()
	if err != nil {
		return err
	}
	host, ok := record.Host(name)
	if !ok {
		return record.NoHost(name)
	}
	reacher, err := f.reacher(record, f.logger(s))
	if err != nil {
		return err
	}
	conn, err := reacher.Connect(ctx, host)
	if err != nil {
		return outcome(ctx, &exitError{exitUnreachable, fmt.Errorf("show logs of %s: %w", name, err)})
	}
	defer conn.Close()
	err = cluster.Logs(ctx, conn, name, f.LogsOptions, f.sink(s))
	if errors.Is(err, cluster.ErrLost) {
		err = &exitError{exitUnreachable, err}
	}
	return outcome(ctx, err)
}

func (f *logsFlags) sink(s stdio) view.Sink {
	if f.json {
		return view.NewJSON(s.out, version())
	}
	return view.NewText(view.TextOptions{Out: s.out, Err: s.out, Colour: coloured(s.out), Diff: f.diff, Hosts: true})
}
