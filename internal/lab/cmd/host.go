package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"spore/internal/lab"
)

// host opens the named lab and finds the host in it.
func host(labName, hostName string) (*lab.Host, error) {
	l, err := lab.Open(labName)
	if err != nil {
		return nil, err
	}
	h := l.Host(hostName)
	if h == nil {
		return nil, fmt.Errorf("lab %s has no host %q", labName, hostName)
	}
	return h, nil
}

func execute() *cobra.Command {
	cmd := &cobra.Command{
		Use: "exec LAB HOST COMMAND…", Short: "Run a command in a host, not by way of SSH", Args: cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := host(args[0], args[1])
			if err != nil {
				return err
			}
			c, err := h.Command(cmd.Context(), args[2:]...)
			if err != nil {
				return err
			}
			c.Stdin, c.Stdout, c.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			return c.Run()
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// faults are the commands that break a host and mend it.
func faults() []*cobra.Command {
	var out []*cobra.Command
	for _, f := range []struct {
		use, short string
		do         func(*lab.Host, context.Context) error
	}{
		{"crash", "Kill every process of a host at once", (*lab.Host).Crash},
		{"start", "Power a crashed host on", (*lab.Host).Start},
		{"reboot", "Reboot a host", (*lab.Host).Reboot},
		{"destroy", "Take a host away for good, its disk too", (*lab.Host).Destroy},
		{"cut", "Take a host's network away", (*lab.Host).Cut},
		{"cut-from", "Lose what a host sends", (*lab.Host).CutFrom},
		{"cut-to", "Lose what is sent to a host", (*lab.Host).CutTo},
		{"heal", "Give a host its network back", (*lab.Host).Heal},
	} {
		out = append(out, &cobra.Command{
			Use: f.use + " LAB HOST…", Short: f.short, Args: cobra.MinimumNArgs(2),
			RunE: func(cmd *cobra.Command, args []string) error {
				for _, name := range args[1:] {
					h, err := host(args[0], name)
					if err != nil {
						return err
					}
					if err := f.do(h, cmd.Context()); err != nil {
						return fmt.Errorf("%s %s: %w", f.use, strings.Join(args, " "), err)
					}
				}
				return nil
			},
		})
	}
	return out
}
