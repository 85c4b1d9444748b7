// Package fleet is the initiator: it brings a graph and an agent to every host, keeps the store that
// they share, follows the edits of the graphs, knows when the whole fleet has converged, and ends
// it all without leaving a trace.
package fleet

import (
	"context"
	"log/slog"
	"net"
	"time"

	"golang.org/x/time/rate"

	"spore/engine"
	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/cluster"
	"spore/internal/view"
	"spore/remote"
)

// Options say what to run where.
type Options struct {
	Hosts       []Host
	Kinds       engine.Kinds
	Dialer      remote.Dialer
	Become      *remote.Become // as whom all runs on the hosts; nil is as who logs in
	Concurrency int            // hosts that are being connected to and set up at once
	// ConnectTimeout bounds the attempts to reach a host for the first time.
	ConnectTimeout time.Duration
	Prefix         string
	TmpPrefix      string
	NoCache        bool
	Noop           bool
	LogLevel       slog.Level // of the agents
	Owner          string     // who runs this, as user@machine
	Version        string     // of this binary; the agents' should be the same
	// Bandwidth limits what is sent to all hosts together; nil does not.
	Bandwidth *rate.Limiter
	// Executable returns the binary for a host of that system.
	Executable func(goos, goarch string) (remote.Binary, error)
	// Store opens the store that the hosts share.
	Store func(ctx context.Context, log *slog.Logger) (*Store, error)
	// Edits calls changed with each later version of m until ctx is done.
	Edits func(ctx context.Context, m *manifest.Manifest, changed func(*manifest.Manifest)) error
	// Detach, if given, leaves the hosts to themselves in the end.
	Detach *Detach
	// Timeout ends the run when the fleet has been converged for so long; negative is never.
	Timeout time.Duration
	// Orphan is how long an agent goes on without the initiator.
	Orphan time.Duration
	// StopBound is how long an orderly end may take.
	StopBound time.Duration
	Log       *slog.Logger
	Sink      view.Sink
}

// A Store is the store of a run as the initiator uses it.
type Store struct {
	*etcd.Store
	// Server is the store, if it runs in this process, and Dir its private directory.
	Server *etcd.Server
	Dir    string
	// Link is the way to the store, if it is that of a detached fleet.
	Link *cluster.Link
	// Dial opens a connection for a host's tunnel to carry.
	Dial func(ctx context.Context) (net.Conn, error)
	// Admit returns the credentials of a host that may do what grants say.
	Admit func(ctx context.Context, host string, g etcd.Grants) (etcd.Credentials, error)
	// Prepare, if given, makes Admit fast for many hosts.
	Prepare func(ctx context.Context, grants map[string]etcd.Grants) error
	// Done is closed when the store has ended by itself, for the reason that Err gives.
	Done <-chan struct{}
	Err  func() error
	// End closes the store and takes away what it kept.
	End func() error
}

// An Outcome is how a run ended.
type Outcome struct {
	Recaps      []Recap
	Interrupted bool // by ctx
}

// A Recap is how the run ended on one host.
type Recap struct {
	Host string
	view.Recap
}

// Failed reports whether some resource of some host could not be made as declared.
func (o Outcome) Failed() bool { return o.any(view.StateFailed) }

// Unreachable reports whether some host was not reached, or lost.
func (o Outcome) Unreachable() bool { return o.any(view.StateUnreachable) }

func (o Outcome) any(state string) bool {
	for _, r := range o.Recaps {
		if r.State == state {
			return true
		}
	}
	return false
}

// Run brings the hosts' graphs to them and keeps them there until the fleet has converged for the
// time-out, every host has failed, or ctx is done; then it ends the agents and cleans up, within
// StopBound, or at once when kill is done. One host's trouble does not stop the others: the error
// tells only of what concerns them all.
func Run(ctx, kill context.Context, o Options) (Outcome, error) {
	f := newFleet(o)
	err := f.run(ctx, kill)
	outcome := Outcome{Recaps: f.recaps(), Interrupted: ctx.Err() != nil}
	store, _ := f.current()
	if store == nil {
		return outcome, err
	}
	if e := store.End(); e != nil {
		o.Log.Warn("close store", "err", e)
	}
	return outcome, err
}
