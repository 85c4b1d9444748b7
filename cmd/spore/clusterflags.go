package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"spore/internal/cluster"
	"spore/internal/view"
	"spore/remote"
)

// clusterFlags are common to the commands that come back to a cluster.
type clusterFlags struct {
	cluster            string
	sshConfig          string
	acceptNew, noInput bool
	verbose            bool
	become             becomeFlags
	connectTimeout     seconds

	// executable finds what Conn.Install brings, for the commands that need it.
	executable func(goos, goarch string) (remote.Binary, error)

	flags *pflag.FlagSet
}

// register adds the flags to c.
func (f *clusterFlags) register(c *cobra.Command) {
	f.connectTimeout = seconds(30 * time.Second)
	fl := c.Flags()
	fl.SortFlags = false
	f.flags = fl
	fl.StringVar(&f.cluster, "cluster", "", "the `NAME` of the cluster; the only one that is known if not given")
	fl.StringVarP(&f.sshConfig, "ssh-config", "F", "", "an ssh_config `FILE` in place of the one that the cluster was made with; none for none")
	fl.BoolVar(&f.acceptNew, "accept-new-host-keys", false, "trust, and remember, the key of a host that is met for the first time")
	fl.BoolVar(&f.noInput, "no-input", false, "never prompt: a host that would need it fails")
	f.become.register(fl)
	fl.Var(&f.connectTimeout, "connect-timeout", "how long to try hosts that may be reached a little later")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "tell how hosts are reached")
}

// records are the clusters that this person knows.
func records() (cluster.Records, error) {
	dir, err := cluster.DefaultDir()
	return cluster.Records{Dir: dir}, err
}

// record returns what is known of the cluster.
func (f *clusterFlags) record() (cluster.Record, error) {
	r, err := records()
	if err != nil {
		return cluster.Record{}, err
	}
	return r.Pick(f.cluster)
}

// logger returns what tells of what happens meanwhile.
func (f *clusterFlags) logger(s stdio) *slog.Logger {
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelDebug
	}
	return view.NewLogger(view.NewText(view.TextOptions{Out: s.err, Err: s.err}), level)
}

// reacher returns what reaches the hosts of the record: as it says, where no flag says otherwise.
func (f *clusterFlags) reacher(record cluster.Record, log *slog.Logger) (*cluster.Reacher, error) {
	run := runFlags{sshConfig: record.SSHConfig, acceptNew: f.acceptNew, noInput: f.noInput}
	if f.flags.Changed("ssh-config") {
		run.sshConfig = f.sshConfig
	}
	if err := readable(run.sshConfig); err != nil {
		return nil, fmt.Errorf("--ssh-config: %w", err)
	}
	become := f.become
	become.asRecorded(record.Become, f.flags)
	if err := become.check(); err != nil {
		return nil, err
	}
	dialer := (&runner{runFlags: &run, log: log}).dialer()
	dialer.Slow = (&slow{tell: func(text string) { log.Warn(text) }}).add
	if t := time.Duration(f.connectTimeout); t < dialTimeout {
		dialer.Timeout = t
	}
	as, err := become.options(dialer)
	if err != nil {
		return nil, err
	}
	return &cluster.Reacher{
		Record: record, Connect: cluster.SSH(dialer, remote.ConnOptions{Become: as, Executable: f.executable}), Timeout: time.Duration(f.connectTimeout), Log: log,
	}, nil
}

// dialTimeout is how long one attempt to connect may take by itself.
const dialTimeout = 15 * time.Second

// open opens the store of the cluster, through any of its hosts.
func (f *clusterFlags) open(ctx context.Context, s stdio) (*cluster.Link, cluster.Record, error) {
	record, err := f.record()
	if err != nil {
		return nil, record, err
	}
	reacher, err := f.reacher(record, f.logger(s))
	if err != nil {
		return nil, record, err
	}
	link, err := reacher.Open(ctx)
	return link, record, outcome(ctx, err)
}

// outcome gives an error of what was done with a cluster the exit code that it stands for.
func outcome(ctx context.Context, err error) error {
	var unreachable *cluster.UnreachableError
	var become *remote.BecomeError
	var known *exitError
	switch {
	case err == nil || errors.As(err, &known) && ctx.Err() == nil:
		return err
	case ctx.Err() != nil:
		return exit(exitInterrupted)
	case errors.As(err, &unreachable), errors.As(err, &become):
		return &exitError{exitUnreachable, err}
	}
	return &exitError{exitFailed, err}
}
