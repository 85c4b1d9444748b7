package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/settle"
	"spore/internal/view"
)

// A fleet is a run under way.
type fleet struct {
	Options
	start    time.Time
	opened   chan struct{} // closed when the store is open, or never will be for the reason in failed
	failed   error
	members  []*member
	moved    chan struct{} // capacity 1: whether it has converged may be answered otherwise now
	stopping atomic.Bool
	left     bool       // to itself: nothing but its store tells of it now
	editor   sync.Mutex // held while an edit is applied, or a host admitted
	endEdits func()     // ends edits, and waits until none is under way

	mu      sync.Mutex
	store   *Store        // once opened
	adopted chan struct{} // closed when another store takes its place
	state   etcd.Fleet
	highest int64 // the revision of the last graph that was written
	grants  map[string]etcd.Grants
}

func newFleet(o Options) *fleet {
	f := &fleet{Options: o, start: time.Now(), opened: make(chan struct{}), adopted: make(chan struct{}), moved: make(chan struct{}, 1)}
	f.Dialer = newGentle(o.Dialer, max(1, len(o.Hosts)))
	for _, h := range o.Hosts {
		f.members = append(f.members, &member{
			fleet: f, name: h.Name, host: h, manifest: h.Manifest, edited: make(chan struct{}, 1), log: o.Log.With("host", h.Name),
		})
	}
	f.grants = f.grantsOf(f.members)
	return f
}

// run lets the hosts work until there is a reason to end, then ends them.
func (f *fleet) run(ctx, kill context.Context) error {
	work, cancel := context.WithCancel(kill) // outlives ctx: an orderly end needs the tunnels
	defer cancel()
	var sessions, tasks sync.WaitGroup
	f.connect(work, ctx, &sessions) // while the store opens
	err := f.open(ctx)
	if err == nil {
		tasks.Go(func() { f.follow(work) })
		f.endEdits = f.begin(work, f.edit)
		defer f.endEdits()
		if f.Detach != nil {
			err = f.detach(ctx, kill)
		} else {
			err = f.wait(ctx)
		}
	}
	f.stop(kill)
	sessions.Wait()
	cancel()
	tasks.Wait()
	if ctx.Err() != nil && (f.failed != nil || errors.Is(err, context.Canceled)) { // to be interrupted is no failure
		return nil
	}
	return err
}

// connect starts a session with every host, as many at once as Concurrency allows.
func (f *fleet) connect(work, ctx context.Context, sessions *sync.WaitGroup) {
	slots := make(chan struct{}, max(1, f.Concurrency))
	for _, m := range f.members {
		sessions.Go(func() {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				m.abandon()
				return
			}
			m.run(work, sync.OnceFunc(func() { <-slots }))
		})
	}
}

// wait returns when there is a reason to end: the fleet has been converged for long enough, no host
// is left, the store is gone, or ctx is done.
func (f *fleet) wait(ctx context.Context) error {
	ctx, cancel := f.untilStoreEnds(ctx)
	defer cancel(nil)
	lasting := settle.Wait{For: f.Timeout, Changed: f.moved, Seen: f.tell, Is: func() bool {
		if f.over() {
			cancel(errOver)
		}
		return f.converged()
	}}
	if f.Timeout < 0 { // wait all the same, to tell when the fleet has converged
		lasting.For = 1<<63 - 1
	}
	err := lasting.Until(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if errors.Is(err, errOver) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

var errOver = errors.New("no host is left")

// over reports whether every session has ended.
func (f *fleet) over() bool {
	for _, m := range f.members {
		if _, ended := m.link(); !ended {
			return false
		}
	}
	return true
}

// converged reports whether every host that is still with us has converged. Hosts that could not be
// reached are left out: they are reported as such.
func (f *fleet) converged() bool {
	var names []string
	for _, m := range f.members {
		switch ready, ended := m.link(); {
		case ended:
		case !ready:
			return false
		default:
			names = append(names, m.name)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(names) > 0 && f.state.Seen >= f.highest && f.state.Converged(names)
}

func (f *fleet) tell(converged bool) {
	r := view.Record{Time: time.Now(), Type: view.Diverged}
	if converged {
		r.Type = view.Converged
		r.Message = fmt.Sprintf("converged after %v", time.Since(f.start).Round(time.Millisecond))
	}
	f.Sink.Emit(r)
}

// written notes that a graph was written at revision.
func (f *fleet) written(revision int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.highest = max(f.highest, revision)
}

func (f *fleet) poke() {
	select {
	case f.moved <- struct{}{}:
	default:
	}
}

// stop ends every session in order, within StopBound.
func (f *fleet) stop(kill context.Context) {
	last := f.latest()
	f.stopping.Store(true)
	ctx, cancel := context.WithTimeout(kill, f.StopBound)
	defer cancel()
	var all sync.WaitGroup
	for _, m := range f.members {
		m.keep(last.Hosts[m.name])
		all.Go(func() { m.stop(ctx) })
	}
	all.Wait()
}

// edit follows the files of every manifest.
func (f *fleet) edit(ctx context.Context) {
	if f.Edits == nil {
		return
	}
	byManifest := map[*manifest.Manifest][]*member{}
	for _, m := range f.members {
		byManifest[m.host.Manifest] = append(byManifest[m.host.Manifest], m)
	}
	var all sync.WaitGroup
	for first, members := range byManifest {
		all.Go(func() {
			err := f.Edits(ctx, first, func(next *manifest.Manifest) { f.apply(ctx, members, next) })
			if err != nil && ctx.Err() == nil {
				f.Log.Error("follow edits", "file", first.File, "err", err)
			}
		})
	}
	all.Wait()
}
