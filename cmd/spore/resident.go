package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"spore/internal/resident"
)

func newResident(s stdio) *cobra.Command {
	c := &cobra.Command{
		Use:    "resident",
		Hidden: true,
		Short:  "What a detached fleet does on each of its hosts",
		Long: `resident is how a detached fleet is put in its place on a host, and how it runs there. The other
commands use it through SSH; people need it for repairs only. What goes in and comes out is JSON.`,
	}
	c.PersistentFlags().String("root", resident.Standard().Root, "where everything lies; if it is not there, without systemd")
	c.AddCommand(residentPlaces(s)...)
	c.AddCommand(residentProcesses(s)...)
	return c
}

// layoutOf is the layout that a verb of resident works on.
func layoutOf(c *cobra.Command) resident.Layout {
	l := resident.Standard()
	if root, err := c.Flags().GetString("root"); err == nil && root != l.Root {
		l = resident.Layout{Root: root}
	}
	return l
}

// residentPlaces are the verbs that put things in their place.
func residentPlaces(s stdio) []*cobra.Command {
	return []*cobra.Command{
		residentInfo(s), residentInstall(s), residentUpgrade(), residentSupervise(s), residentFound(s), residentListen(s), residentReach(s),
		residentDo("start", "Start what is installed, for good", resident.Start),
		residentDo("discard", "Take away an installation that was never started, and a store that nobody committed to", resident.Discard),
		residentRemove(), residentRevive(s), residentFollow(s),
	}
}

func residentInfo(s stdio) *cobra.Command {
	return &cobra.Command{
		Use: "info", Short: "Tell how the host stands", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			info, err := resident.Inspect(layoutOf(c), version())
			return answer(s, info, err)
		},
	}
}

func residentInstall(s stdio) *cobra.Command {
	return &cobra.Command{
		Use: "install", Short: "Install what comes on standard input, without starting it", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var in resident.Installation
			if err := readInput(s, &in); err != nil {
				return err
			}
			out, err := resident.Install(c.Context(), layoutOf(c), in)
			return answer(s, out, err)
		},
	}
}

func residentFound(s stdio) *cobra.Command {
	var snapshot string
	c := &cobra.Command{
		Use: "found", Short: "Make the host the first member of a fleet's store", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var f resident.Founding
			if err := readInput(s, &f); err != nil {
				return err
			}
			return failed(resident.Found(c.Context(), layoutOf(c), snapshot, f))
		},
	}
	c.Flags().StringVar(&snapshot, "snapshot", "", "the `FILE` with what the store is to hold")
	_ = c.MarkFlagRequired("snapshot")
	return c
}

func residentRemove() *cobra.Command {
	var cache bool
	c := &cobra.Command{
		Use: "remove", Short: "End everything and take it away, but for the cache of binaries", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(resident.Remove(c.Context(), layoutOf(c), cache))
		},
	}
	c.Flags().BoolVar(&cache, "cache", false, "take the cache away, too")
	return c
}

func residentRevive(s stdio) *cobra.Command {
	var snapshot string
	c := &cobra.Command{
		Use: "revive", Short: "Make a store that has lost its majority one of this host alone", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			out, err := resident.Revive(c.Context(), layoutOf(c), snapshot)
			return answer(s, out, err)
		},
	}
	c.Flags().StringVar(&snapshot, "snapshot", "", "from the snapshot of this `NAME`, or the latest; from its last state if not given")
	return c
}

func residentFollow(s stdio) *cobra.Command {
	return &cobra.Command{
		Use: "follow", Short: "Look for the store where standard input says that it is", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var f resident.Following
			if err := readInput(s, &f); err != nil {
				return err
			}
			return failed(resident.Follow(c.Context(), layoutOf(c), f))
		},
	}
}

func residentUpgrade() *cobra.Command {
	var digest string
	c := &cobra.Command{
		Use: "upgrade", Short: "Change to a binary in the cache, and back if it does not come up", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(resident.Upgrade(c.Context(), layoutOf(c), digest))
		},
	}
	c.Flags().StringVar(&digest, "digest", "", "`SHA-256` of the binary, in hex")
	_ = c.MarkFlagRequired("digest")
	return c
}

func residentSupervise(s stdio) *cobra.Command {
	return &cobra.Command{
		Use: "supervise agent|store", Short: "Keep agent or store running where there is no systemd", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, _, stop := signals(c.Context())
			defer stop()
			return failed(resident.Supervise(ctx, layoutOf(c), args[0], func() { fmt.Fprint(s.out, resident.Supervising) }))
		},
	}
}

func residentListen(s stdio) *cobra.Command {
	return &cobra.Command{
		Use: "listen", Short: "Listen on the ports of a member until standard input ends", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var l resident.Listen
			in := json.NewDecoder(s.in)
			if err := in.Decode(&l); err != nil {
				return fmt.Errorf("read standard input: %w", err)
			}
			return failed(l.Serve(c.Context(), s.in, func() error {
				return answer(s, map[string]bool{"listening": true}, nil)
			}))
		},
	}
}

func residentReach(s stdio) *cobra.Command {
	return &cobra.Command{
		Use: "reach", Short: "Find out which ports of other hosts can be reached", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var r resident.Reach
			if err := readInput(s, &r); err != nil {
				return err
			}
			return answer(s, r.Try(c.Context()), nil)
		},
	}
}

func residentDo(use, short string, do func(context.Context, resident.Layout) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return failed(do(c.Context(), layoutOf(c))) },
	}
}

// readInput reads what a verb is to work on. What is wrong with it is not quoted: it may hold secrets.
func readInput(s stdio, v any) error {
	if json.NewDecoder(s.in).Decode(v) != nil {
		return fmt.Errorf("read standard input: it has to be a %T as JSON", v)
	}
	return nil
}

func answer(s stdio, v any, err error) error {
	if err == nil {
		err = json.NewEncoder(s.out).Encode(v)
	}
	return failed(err)
}

func failed(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitFailed, err}
}
