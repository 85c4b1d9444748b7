package main

import (
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
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.AddCommand(
		newRun(s), newValidate(s), newGraph(s), newKinds(s), newVersion(s), newJoin(s), newDemo(s), newAttach(s), newBridge(s), newResident(s),
		newCluster(s), newStatus(s), newLogs(s), newDeploy(s), newLeave(s), newUpgrade(s), newDestroy(s), newRevive(s),
	)
	return root
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
