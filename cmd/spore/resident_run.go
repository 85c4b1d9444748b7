package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"spore/internal/agent"
	"spore/internal/resident"
)

// residentProcesses are the verbs of resident that run until they are ended.
func residentProcesses(s stdio) []*cobra.Command {
	return []*cobra.Command{residentAgent(), residentStore(s), residentPipe(s), residentLogs(s)}
}

// ended returns a context that ends when the process is to.
func ended(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
}

func residentAgent() *cobra.Command {
	return &cobra.Command{
		Use: "agent", Short: "Keep the host as its graph says", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := ended(c.Context())
			defer stop()
			// Caught rather than ignored: what is ignored stays so in the commands that resources start.
			signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGHUP)
			l := layoutOf(c)
			if err := agent.CheckPlace(l.Dir()); err != nil {
				return failed(err)
			}
			if err := os.Chdir(l.Dir()); err != nil {
				return failed(err)
			}
			b := newBehaviour(slog.New(slog.DiscardHandler))
			defer b.hub.Close()
			return failed(resident.RunAgent(ctx, l, resident.AgentOptions{Kinds: b.kinds, Version: version()}))
		},
	}
}

func residentStore(s stdio) *cobra.Command {
	return &cobra.Command{
		Use: "store", Short: "Serve the store, as the member that the host is", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := ended(c.Context())
			defer stop()
			log := slog.New(slog.NewTextHandler(s.err, nil))
			return failed(resident.RunStore(ctx, layoutOf(c), resident.StoreOptions{Log: log}))
		},
	}
}

func residentPipe(s stdio) *cobra.Command {
	return &cobra.Command{
		Use: "pipe", Short: "Carry one connection to the store over standard input and output", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := ended(c.Context())
			defer stop()
			return failed(resident.Pipe(ctx, layoutOf(c), s.in, s.out))
		},
	}
}

func residentLogs(s stdio) *cobra.Command {
	o := resident.LogsOptions{Version: version()}
	c := &cobra.Command{
		Use: "logs", Short: "Show the records of the host's agents", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := ended(c.Context())
			defer stop()
			if o.Follow { // for somebody far away, whose end would show at the next record only
				go func() { defer stop(); _, _ = io.Copy(io.Discard, s.in) }()
			}
			return failed(resident.Logs(ctx, layoutOf(c), o, s.out))
		},
	}
	c.Flags().Int64Var(&o.Since, "since", 0, "only records after the one of this `NUMBER`")
	c.Flags().IntVar(&o.Lines, "lines", 0, "only so many of the `LAST` records so far")
	c.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on with the records to come, over restarts of the agent, until standard input ends")
	return c
}
