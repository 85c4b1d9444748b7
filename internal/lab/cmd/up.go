package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"spore/internal/lab"
)

func up() *cobra.Command {
	var opts lab.Options
	cmd := &cobra.Command{
		Use: "up N", Short: "Bring up N hosts and keep them until ^C", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil {
				return fmt.Errorf("how many hosts: %w", err)
			}
			l, err := lab.Up(cmd.Context(), n, opts)
			if err != nil {
				return err
			}
			describe(cmd.OutOrStdout(), l)
			<-cmd.Context().Done()
			return l.Close()
		},
	}
	cmd.Flags().StringVar(&opts.Name, "name", "", "name of the lab; its ssh_config is /run/spore-lab/NAME/ssh_config")
	cmd.Flags().BoolVar(&opts.Light, "light", false, "hosts without systemd, for large numbers")
	cmd.Flags().BoolVar(&opts.Isolated, "isolated", false, "hosts do not reach each other")
	cmd.Flags().BoolVar(&opts.Logind, "logind", false, "logins are systemd sessions")
	return cmd
}

func describe(w io.Writer, l *lab.Lab) {
	fmt.Fprintf(w, "lab %s\n", l.Name)
	for _, h := range l.Hosts {
		fmt.Fprintf(w, "  %s  %s  %s\n", h.Name, h.Addr, h.Addr6)
	}
	fmt.Fprintf(w, "ssh_config    %s\nroot password %s\n\nssh -F %s %s\n\n^C ends it.\n",
		l.SSHConfig(), l.Hosts[0].Password, l.SSHConfig(), l.Hosts[0].Name)
}
