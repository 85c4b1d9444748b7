// Command cmd (go run ./internal/lab/cmd) handles labs by hand: it brings hosts up and breaks them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"spore/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := root().ExecuteContext(ctx)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "lab",
		Short:         "Real hosts on this machine, to try things on",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(up(), list(), down(), image(), execute())
	cmd.AddCommand(faults()...)
	return cmd
}

func list() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List labs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			labs, err := lab.List(cmd.Context())
			if err != nil {
				return err
			}
			for _, s := range labs {
				word := "alive"
				if !s.Alive {
					word = "dead"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\t%v\n", s.Name, word, s.Hosts)
			}
			return nil
		},
	}
}

func down() *cobra.Command {
	return &cobra.Command{
		Use: "down [LAB]", Short: "Take away what dead labs left, and end the named one", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return lab.Down(cmd.Context(), name)
		},
	}
}

func image() *cobra.Command {
	return &cobra.Command{
		Use: "image", Short: "Build the hosts' image unless it is cached, and print where it is", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := lab.Image(cmd.Context(), nil)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), path)
			}
			return err
		},
	}
}
