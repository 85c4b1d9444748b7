package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"spore/engine"
	"spore/engine/manifest"
	"spore/internal/fswatch"
	"spore/resources"
)

func newRoot(s stdio) *cobra.Command {
	root := &cobra.Command{
		Use:   "spore",
		Short: "Agentless, self-replicating configuration management",
		Long: `spore brings graphs of resources to hosts that offer nothing but SSH. It copies itself to each of
them, and the copies keep each host in the state that its graph declares.

Exit codes: 0 converged; 1 wrong usage or graph, nothing was touched; 2 some resource failed;
4 some host was unreachable (also if some resource failed elsewhere); 130 interrupted.`,
		Version:       about(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetVersionTemplate("spore {{.Version}}\n")
	group(root, "Graphs and their hosts:", newRun(s), newValidate(s), newGraph(s), newKinds(s), newDemo(s))
	group(root, "Clusters, which run --detach leaves behind:", newStatus(s), newLogs(s), newDeploy(s), newJoin(s), newLeave(s),
		newUpgrade(s), newDestroy(s), newRevive(s), newCluster(s))
	group(root, "What spore runs on hosts:", newAttach(s), newBridge(s), newResident(s))
	root.AddCommand(newVersion(s))
	complete(root)
	root.InitDefaultCompletionCmd()
	explain(root)
	return root
}

// group adds commands to root that belong together in its help.
func group(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, c := range commands {
		c.GroupID = title
		root.AddCommand(c)
	}
}

// explain has every mistake in a command line answered with how to use c, or the commands below it.
func explain(c *cobra.Command) {
	args := c.Args
	switch {
	case c.HasSubCommands() && !c.Runnable() && c.HasParent():
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return fmt.Errorf("unknown command %q for %q\n  %[2]s --help lists them", args[0], c.CommandPath())
		}
	case args != nil:
		c.Args = func(c *cobra.Command, given []string) error {
			if err := args(c, given); err != nil {
				return fmt.Errorf("%w\n  usage: %s", err, c.UseLine())
			}
			return nil
		}
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w\n  %s --help lists the flags", err, c.CommandPath())
	})
	for _, sub := range c.Commands() {
		explain(sub)
	}
}

// behaviour is what resources need of the process: their kinds, a watch on its files, and what the
// secrets in graph files stand for, if that is to be known.
type behaviour struct {
	kinds   engine.Kinds
	hub     *fswatch.Hub
	secrets func(dir, reference string) (string, error)
}

func newBehaviour(log *slog.Logger) behaviour {
	hub := fswatch.New(log)
	return behaviour{kinds: resources.Kinds(hub), hub: hub}
}

func (b behaviour) load(paths []string) ([]*manifest.Manifest, error) {
	return manifest.LoadAll(paths, b.options())
}

func (b behaviour) options() manifest.Options {
	return manifest.Options{Kinds: b.kinds, Secrets: b.secrets}
}
