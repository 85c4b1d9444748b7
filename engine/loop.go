package engine

import (
	"context"
	"reflect"
	"sync"
	"time"

	"spore/graph"
)

// stopBound is how long what was cancelled may take to stop before it is left behind.
const stopBound = 5 * time.Second

// A loop owns the running graph. All its methods run on the goroutine of Runner.Run.
type loop struct {
	*Runner
	ctx      context.Context
	program  *Program
	revision int64
	gathered []Export
	refused  map[ID]string // why what was gathered was left out
	graph    *Graph        // the program's, with what was collected
	nodes    map[ID]*node
	counts   map[State]int
	changed  int // nodes that were changed at least once
	shared   *shared
	collect  *collector
	world    sync.WaitGroup // of what talks to the world
}

// A node is a vertex of the running graph.
type node struct {
	Node
	worker  *worker
	state   State
	told    State    // by the last event
	would   []Change // told of, but not made: noop
	changed bool
	kept    bool // it was as declared once, since it was declared so
	asked   bool // its worker waits to be granted a run
	// A refresh is owed until a run to which it was given ends well.
	refresh, refreshing bool
}

func newLoop(ctx context.Context, r *Runner) *loop {
	l := &loop{
		Runner:  r,
		ctx:     ctx,
		program: &Program{Graph: graph.New[ID, Node, Edge]()},
		graph:   graph.New[ID, Node, Edge](),
		nodes:   map[ID]*node{},
		counts:  map[State]int{},
		shared:  newShared(),
	}
	l.world.Go(func() { r.runExports(ctx) })
	return l
}

// swap makes s the program that is run.
func (l *loop) swap(s swap) {
	old := l.program
	l.program, l.revision = s.program, s.revision
	if !l.cfg.Noop && !reflect.DeepEqual(old.Exports, s.program.Exports) {
		l.exports.put(s.program.Exports)
	}
	l.recollect()
	l.rebuild()
}

// gather takes over what the hosts export now.
func (l *loop) gather(g gathering) {
	if g.from != l.collect { // of a collector that was replaced meanwhile
		return
	}
	l.gathered = g.exports
	l.rebuild()
}

// rebuild applies the difference between the running graph and what it should now be.
func (l *loop) rebuild() {
	next := l.merge()
	delta := graph.Diff(l.graph, next, Node.Same)
	gone := append(delta.Removed, delta.Changed...)
	for _, id := range gone {
		l.nodes[id].worker.stop()
		l.nodes[id].worker.cancel()
		l.nodes[id].asked = false
	}
	l.await(gone)
	l.graph = next
	for _, id := range delta.Removed {
		l.forget(id)
	}
	for _, id := range append(delta.Changed, delta.Added...) {
		l.start(next.Vertex(id))
	}
	for _, id := range delta.Kept { // its edges may be others now
		l.evaluate(l.nodes[id])
	}
	l.publish()
}

func (l *loop) start(v Node) {
	n := l.nodes[v.ID]
	if n == nil {
		n = &node{}
		l.nodes[v.ID] = n
	} else {
		l.counts[n.state]--
	}
	n.Node, n.state, n.would, n.kept = v, Waiting, nil, false
	n.refresh, n.refreshing = n.refresh || n.refreshing, false
	l.counts[Waiting]++
	n.worker = newWorker(l.ctx, l.Runner, l.shared, v)
	n.worker.mark()
	go n.worker.run()
}

func (l *loop) forget(id ID) {
	n := l.nodes[id]
	l.counts[n.state]--
	if n.changed {
		l.changed--
	}
	delete(l.nodes, id)
}

// await waits for workers that were cancelled to end, while going on to hear them all: a worker
// waits to be heard. What does not end in time is left behind.
func (l *loop) await(ids []ID) {
	bound := time.NewTimer(stopBound)
	defer bound.Stop()
	for i := 0; i < len(ids); {
		w := l.nodes[ids[i]].worker
		select {
		case <-w.ended:
			i++
		case other := <-l.wants:
			l.want(other)
		case o := <-l.done:
			l.finish(o)
		case <-bound.C:
			l.leave(ids[i:])
			return
		}
	}
}

func (l *loop) leave(ids []ID) {
	for _, id := range ids {
		w := l.nodes[id].worker
		select {
		case <-w.ended:
		default:
			w.log.Warn("resource does not stop; it is left behind")
		}
	}
}

// end waits until everything has stopped, since ctx is done.
func (l *loop) end() {
	l.await(l.graph.Keys())
	close(l.shared.deaf)
	silent := make(chan struct{})
	go func() {
		defer close(silent)
		l.world.Wait()
	}()
	bound := time.NewTimer(stopBound)
	defer bound.Stop()
	select {
	case <-silent:
	case <-bound.C:
		l.cfg.Log.Warn("exchange does not stop; it is left behind")
	}
}

func (l *loop) setState(n *node, s State) {
	l.counts[n.state]--
	l.counts[s]++
	n.state = s
}

// publish makes the counts visible to Status. Whatever they tell of is still counted as busy.
func (l *loop) publish() {
	l.snapshot.Store(&snapshot{
		revision: l.revision,
		counts: Counts{
			Total: len(l.nodes), OK: l.counts[OK], Changed: l.changed, Differs: l.counts[Differs],
			Failed: l.counts[Failed], Skipped: l.counts[Skipped],
		},
	})
	l.busy.poke()
}
