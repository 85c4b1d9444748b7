package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/cluster"
	"spore/internal/fleet"
	"spore/remote"
)

// When hosts are left to themselves.
const (
	onceConverged = "converged"
	atOnce        = "now"
)

const (
	defaultCluster = "main"
	defaultPort    = 7480
	defaultIdeal   = 5
	// foundingTimeout is how long the store is looked for of a cluster whose founding was interrupted:
	// there may be none.
	foundingTimeout = 5 * time.Second
)

// detachFlags say how hosts are left to themselves.
type detachFlags struct {
	when          string
	cluster       string
	ideal         int
	memberTimeout seconds
	peers         []string
	peerPort      int
	join          bool // to a cluster that is there
}

func (f *detachFlags) register(fl *pflag.FlagSet) {
	f.memberTimeout = seconds(10 * time.Minute)
	fl.StringVar(&f.when, "detach", "", "leave behind a cluster that runs itself, once everything has converged; --detach=now does not wait for that")
	fl.Lookup("detach").NoOptDefVal = onceConverged
	fl.StringVar(&f.cluster, "cluster", defaultCluster, "the `NAME` of the cluster that --detach leaves behind")
	f.ideal, f.peerPort = defaultIdeal, defaultPort
	fl.Var(number{&f.ideal, 1}, "ideal-cluster-size", "how many of the hosts are to serve the store of the cluster, made odd")
	fl.Var(&f.memberTimeout, "member-timeout", "how long a host that serves the store may be gone before another takes its place")
	f.registerPeers(fl)
	fl.Var(number{&f.peerPort, 1}, "peer-port", "the `PORT` at which hosts that serve the store reach each other; the next is for the others")
}

func (f *detachFlags) registerPeers(fl *pflag.FlagSet) {
	fl.StringSliceVar(&f.peers, "peer-address", nil, "where the hosts reach each other: a `NETWORK` such as 10.1.0.0/16, or host=address; found by itself if not given")
}

// check reports what does not go together.
func (f *runFlags) checkDetach() error {
	d := &f.detach
	switch {
	case d.when == "":
		return nil
	case d.when != onceConverged && d.when != atOnce:
		return fmt.Errorf("--detach=%s: it takes %s, or nothing", d.when, atOnce)
	case len(f.remotes) == 0:
		return errors.New("--detach needs --remote: the hosts to leave behind")
	case f.converged != never:
		return errors.New("--detach leaves a cluster behind and --converged-timeout ends everything: choose one")
	case f.noop:
		return errors.New("--detach does not go with --noop: there would be nothing to leave behind")
	case f.noCaching || f.prefix != "" || f.tmpPrefix != "":
		return errors.New("--detach puts everything below /var/lib/spore: it does not go with --no-caching, --prefix or --tmp-prefix")
	case len(f.seeds) > 0:
		return errors.New("--detach hands over its own store: it does not go with --seeds")
	case time.Duration(d.memberTimeout) < 10*time.Second:
		return fmt.Errorf("--member-timeout %v would replace hosts that only reboot: it takes 10s or more", &d.memberTimeout)
	}
	if err := cluster.CheckName(d.cluster); err != nil {
		return fmt.Errorf("--cluster: %w", err)
	}
	_, err := fleet.ParsePeers(d.peerPort, d.peers)
	return err
}

// A departure prepares the leaving behind of hosts.
type departure struct {
	*runner
	records cluster.Records
	connect func(context.Context, cluster.HostRecord) (cluster.Conn, error)
}

// depart has a run leave its hosts to themselves. The link, if there is one, is the caller's to close.
func (r *runner) depart(ctx context.Context, o *fleet.Options) (*cluster.Link, error) {
	dir, err := cluster.DefaultDir()
	if err != nil {
		return nil, err
	}
	d := &departure{runner: r, records: cluster.Records{Dir: dir}, connect: cluster.SSH(o.Dialer, remote.ConnOptions{
		Become: o.Become, Executable: o.Executable, Bandwidth: o.Bandwidth,
	})}
	return d.prepare(ctx, o)
}

// open opens the store of a cluster by way of its hosts.
func (d *departure) open(ctx context.Context, record cluster.Record) (*cluster.Link, error) {
	reacher := &cluster.Reacher{Record: record, Connect: d.connect, Timeout: time.Duration(d.connectTimeout), Log: d.log}
	if !record.Complete {
		reacher.Timeout = min(reacher.Timeout, foundingTimeout)
	}
	return reacher.Open(ctx)
}

// prepare finds out whether the cluster is there already, wholly or in part, and has o join its
// hosts to it, or found it.
func (d *departure) prepare(ctx context.Context, o *fleet.Options) (*cluster.Link, error) {
	peers, err := fleet.ParsePeers(d.detach.peerPort, d.detach.peers)
	if err != nil {
		return nil, err
	}
	o.Detach = &fleet.Detach{
		Now: d.detach.when == atOnce, Peers: peers, Save: d.records.Save, Open: d.open,
		Forget: func(r cluster.Record) error { return d.records.Remove(r.Cluster.Name) },
	}
	record, err := d.records.Load(d.detach.cluster)
	switch {
	case errors.Is(err, cluster.ErrUnknown) && d.detach.join:
		return nil, fmt.Errorf("%w: %s", err, "spore cluster list shows those that are")
	case errors.Is(err, cluster.ErrUnknown):
		o.Detach.Record, err = d.founding()
		return nil, err
	case err != nil:
		return nil, err
	}
	link, err := d.find(ctx, record)
	if err != nil {
		return nil, outcome(ctx, err)
	}
	if link == nil {
		o.Detach.Record, err = d.founding()
		return nil, err
	}
	o.Detach.Record = record
	if err := d.attach(ctx, o, link); err != nil {
		return nil, errors.Join(err, link.Close())
	}
	return link, nil
}

// find opens the store of a cluster that is known. There is none if its founding came to nothing,
// and then it is not known any longer.
func (d *departure) find(ctx context.Context, record cluster.Record) (*cluster.Link, error) {
	link, err := d.open(ctx, record)
	if err == nil {
		_, founded, e := link.Store.Cluster(ctx)
		if founded {
			return link, nil
		}
		err = errors.Join(e, link.Close())
		if err != nil {
			return nil, err
		}
	} else if record.Complete || ctx.Err() != nil || !nowhere(err) {
		return nil, err
	}
	return nil, d.records.Remove(record.Cluster.Name)
}

// nowhere reports whether each host of a cluster was reached, and none knows of its store.
func nowhere(err error) bool {
	var unreachable *cluster.UnreachableError
	if !errors.As(err, &unreachable) {
		return false
	}
	return !slices.ContainsFunc(unreachable.Hosts, func(h cluster.HostError) bool {
		var said *remote.ProgramError
		return !errors.As(h.Err, &said)
	})
}

// founding is the record of a cluster that is to be.
func (d *departure) founding() (cluster.Record, error) {
	ideal := d.detach.ideal
	record := cluster.Record{
		Cluster:  etcd.Cluster{Name: d.detach.cluster, Ideal: max(1, ideal-(ideal+1)%2), MemberTimeout: time.Duration(d.detach.memberTimeout)},
		PeerPort: d.detach.peerPort, Made: time.Now().UTC(),
	}
	if d.become.method != "" {
		record.Become = cluster.Become{Method: string(d.become.method), User: d.become.user}
	}
	if d.sshConfig == "" || d.sshConfig == "none" {
		record.SSHConfig = d.sshConfig
		return record, nil
	}
	var err error
	record.SSHConfig, err = filepath.Abs(d.sshConfig)
	return record, err
}

// attach has a run use the store of the cluster, and leave the hosts alone that are settled in it.
func (d *departure) attach(ctx context.Context, o *fleet.Options, link *cluster.Link) error {
	authority, err := o.Detach.Record.Authority()
	if err != nil {
		return err
	}
	now, err := link.Store.Now(ctx)
	if err != nil {
		return err
	}
	graphs, err := link.Store.Graphs(ctx)
	if err != nil {
		return err
	}
	o.Detach.Settled = map[string]*manifest.Manifest{}
	o.Hosts = slices.DeleteFunc(slices.Clone(o.Hosts), func(h fleet.Host) bool {
		delete(graphs, h.Name)
		if !now.Hosts[h.Name].Facts.Resident {
			return false
		}
		o.Detach.Settled[h.Name] = h.Manifest
		return true
	})
	press := cluster.Press{Store: link.Store, Kinds: o.Kinds}
	if o.Detach.Others, err = press.Load(ctx, graphs); err != nil {
		return err
	}
	o.Store = fleet.Already(fleet.Linked(link, authority))
	return nil
}
