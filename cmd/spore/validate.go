package main

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/spf13/cobra"

	"spore/engine/manifest"
	"spore/internal/fleet"
)

func newValidate(s stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "validate GRAPH...",
		Short: "Check graph files",
		Long:  "validate reports every mistake of every graph file, with its place and what to do about it. It touches nothing.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			b := newBehaviour(slog.New(slog.DiscardHandler))
			defer b.hub.Close()
			manifests, err := b.load(args)
			if err != nil {
				return err
			}
			for _, m := range manifests {
				for _, w := range m.Warnings {
					fmt.Fprintln(s.err, w)
				}
			}
			meant := slices.DeleteFunc(slices.Clone(manifests), func(m *manifest.Manifest) bool { return len(m.Remotes) == 0 })
			if _, err := fleet.Hosts(meant, fleet.Selection{}); err != nil {
				return err
			}
			for _, m := range manifests {
				p := m.Program
				fmt.Fprintf(s.out, "%s: %s, %d exported, %s\n", m.File,
					count(p.Graph.Len(), "resource"), len(p.Exports), count(len(m.Remotes), "host"))
			}
			return nil
		},
	}
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
