package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newJoin(s stdio) *cobra.Command {
	f := &runFlags{converged: never, connectTimeout: seconds(30 * time.Second), orphan: seconds(5 * time.Minute)}
	f.detach.when, f.detach.join = onceConverged, true
	f.detach.ideal, f.detach.memberTimeout = defaultIdeal, seconds(10*time.Minute) // the cluster has its own
	c := &cobra.Command{
		Use:   "join --remote GRAPH...",
		Short: "Have further hosts join a cluster",
		Long: `join brings each graph to the hosts that it names, as spore run --remote does, and leaves them behind
as hosts of a cluster that spore run --detach has left behind. Hosts that are of the cluster already get
the graph and nothing else. To run it again finishes what was interrupted.`,
		Example: "  spore join --remote d.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.asFounded(c.Flags()); err != nil {
				return err
			}
			return f.run(c.Context(), s)
		},
	}
	fl := c.Flags()
	fl.SortFlags = false
	f.registerGraphs(fl)
	fl.StringVar(&f.detach.cluster, "cluster", "", "the `NAME` of the cluster; the only one that is known if not given")
	f.detach.registerPeers(fl)
	f.detach.peerPort = defaultPort
	fl.Var(number{&f.detach.peerPort, 1}, "peer-port", "the `PORT` at which the hosts would serve the store; the next is for the others")
	f.registerOutput(fl)
	f.registerSSH(fl)
	_ = c.MarkFlagRequired("remote")
	return c
}

// asFounded has hosts join the way that the cluster was made, where no flag says otherwise.
func (f *runFlags) asFounded(flags *pflag.FlagSet) error {
	r, err := records()
	if err != nil {
		return err
	}
	record, err := r.Pick(f.detach.cluster)
	if err != nil {
		return err
	}
	f.detach.cluster = record.Cluster.Name
	if !flags.Changed("ssh-config") {
		f.sshConfig = record.SSHConfig
	}
	if !flags.Changed("peer-port") && record.PeerPort != 0 {
		f.detach.peerPort = record.PeerPort
	}
	f.become.asRecorded(record.Become, flags)
	return nil
}
