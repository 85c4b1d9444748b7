package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"spore/engine/manifest"
	"spore/internal/cluster"
	"spore/internal/resident"
	"spore/internal/settle"
	"spore/internal/view"
)

// A Detach says how the hosts are to go on without the initiator.
type Detach struct {
	Now    bool           // as soon as every agent runs; else when the fleet has converged
	Record cluster.Record // of the cluster to be founded, or joined if the store of the run is its own
	Peers  Peers          // where the hosts reach each other
	// Settled are the hosts that are at home in the cluster already, with the graphs that they are
	// to have; Others those that have nothing to do with this, with the graphs that they have.
	Settled, Others map[string]*manifest.Manifest
	// Save keeps the record, which changes on the way; Forget drops one of which nothing has come.
	Save   func(cluster.Record) error
	Forget func(cluster.Record) error
	// Open opens the store of the cluster by way of its hosts.
	Open func(context.Context, cluster.Record) (*cluster.Link, error)
}

// neighbours are the hosts of the cluster that nothing is brought to.
func (d *Detach) neighbours() map[string]*manifest.Manifest {
	all := maps.Clone(d.Others)
	if all == nil {
		all = map[string]*manifest.Manifest{}
	}
	maps.Copy(all, d.Settled)
	return all
}

// A detachment is the list of tasks after which the hosts need the initiator no more, and what the
// tasks hand on to each other.
type detachment struct {
	*fleet
	*Detach
	hosts []*joining    // in the order in which they were given
	link  *cluster.Link // to the store, once that is the hosts'
}

// A joining is a host that is about to be one of the cluster's.
type joining struct {
	*member
	info      resident.Info
	addresses []string // host:port at which the others may reach it
	peer      string   // the one of these at which they do
	token     string   // what it says there
	begun     bool     // something may have been installed
	recipient string   // of what is for this host alone
}

// detach carries out the tasks. Until the store is handed over ctx ends it, and what was begun is
// undone; what is left then is a matter of seconds, and ends with kill.
func (f *fleet) detach(ctx, kill context.Context) error {
	store, _ := f.current()
	d := &detachment{fleet: f, Detach: f.Options.Detach, link: store.Link}
	for _, t := range []task{
		{"wait for the hosts", d.gather},
		{"look at the hosts", d.inspect},
		{"see whether the hosts reach each other", d.reach},
		{"install", d.install},
		{"hand over the store", d.handOver},
	} {
		if err := t.do(ctx); err != nil {
			d.undo(kill)
			return t.failed(ctx, err)
		}
	}
	for _, t := range []task{
		{"publish the graphs", d.publish},
		{"settle", d.settle},
	} {
		if err := t.do(kill); err != nil {
			return t.failed(kill, fmt.Errorf("%w; the same command finishes the job", err))
		}
	}
	d.warn()
	return d.grow(ctx)
}

// A task is one step of a detachment.
type task struct {
	name string
	do   func(context.Context) error
}

func (t task) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("detach: %s: %w", t.name, err)
}

// undoBound is how long it may take to undo what was begun.
const undoBound = 10 * time.Second

// undo takes away what was installed. A founding that nobody commits to takes itself away, should
// a host be out of reach. The record is forgotten only if all of it is gone: should the commit have
// come about after all, whose answer was lost, there is a cluster, and nobody else has its key.
func (d *detachment) undo(kill context.Context) {
	ctx, cancel := context.WithTimeout(kill, undoBound)
	defer cancel()
	err := all(d.hosts, func(j *joining) error {
		if !j.begun {
			return nil
		}
		return j.resident(ctx, nil, nil, "discard")
	})
	if err == nil && d.link == nil && d.Record.Cluster.ID != "" {
		err = d.Forget(d.Record)
	}
	if err != nil {
		d.Log.Warn("what was begun could not be undone; the same command finishes it", "err", err)
	}
}

// all does something to every host at the same time, and returns what went wrong on each.
func all(hosts []*joining, do func(*joining) error) error {
	errs := make([]error, len(hosts))
	var each sync.WaitGroup
	for i, j := range hosts {
		each.Go(func() {
			if err := do(j); err != nil {
				errs[i] = fmt.Errorf("%s: %w", j.name, err)
			}
		})
	}
	each.Wait()
	return errors.Join(errs...)
}

// gather waits until the hosts are ready to detach: nothing is edited any more from then on.
func (d *detachment) gather(ctx context.Context) error {
	is := d.converged
	if d.Now {
		is = d.allLinked
	}
	if len(d.members) == 0 {
		return nil
	}
	if err := d.await(ctx, is); err != nil {
		return err
	}
	if !d.Now {
		d.tell(true)
	}
	d.endEdits()
	if err := d.await(ctx, is); err != nil { // the last edit may have been one too many
		return err
	}
	for _, m := range d.members {
		if ready, ended := m.link(); ready && !ended {
			d.hosts = append(d.hosts, &joining{member: m})
		}
	}
	if len(d.hosts) == 0 {
		return errOver
	}
	return nil
}

// await waits until it is so, or no host is left.
func (f *fleet) await(ctx context.Context, is func() bool) error {
	ctx, cancel := f.untilStoreEnds(ctx)
	defer cancel(nil)
	err := settle.Wait{Changed: f.moved, Is: func() bool {
		if f.over() {
			cancel(errOver)
			return false
		}
		return is()
	}}.Until(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// allLinked reports whether every host that is still with us runs its agent.
func (f *fleet) allLinked() bool {
	for _, m := range f.members {
		if ready, ended := m.link(); !ready && !ended {
			return false
		}
	}
	return true
}

func (d *detachment) say(format string, a ...any) {
	d.Sink.Emit(view.Record{Time: time.Now(), Type: view.Link, Message: fmt.Sprintf(format, a...)})
}
