package engine

import (
	"context"
	"reflect"

	"spore/graph"
)

// A loop owns the running graph. All its methods run on the goroutine of Runner.Run.
type loop struct {
	*Runner
	ctx      context.Context
	program  *Program
	revision int64
	gathered []Export
	graph    *Graph // the program's, with what was collected
	nodes    map[ID]*node
	counts   map[State]int
	changed  int // nodes that were changed at least once
	shared   *shared
	exporter *exporter
	collect  *collector
}

// A node is a vertex of the running graph.
type node struct {
	Node
	worker  *worker
	state   State
	changed bool
	asked   bool // its worker waits to be granted a run
	counted bool // busy counts that run
}

func newLoop(ctx context.Context, r *Runner) *loop {
	return &loop{
		Runner:   r,
		ctx:      ctx,
		program:  &Program{Graph: graph.New[ID, Node, Edge]()},
		graph:    graph.New[ID, Node, Edge](),
		nodes:    map[ID]*node{},
		counts:   map[State]int{},
		shared:   newShared(),
		exporter: startExporter(ctx, r),
	}
}

// swap makes s the program that is run.
func (l *loop) swap(s swap) {
	old := l.program
	l.program, l.revision = s.program, s.revision
	if !l.cfg.Noop && !reflect.DeepEqual(old.Exports, s.program.Exports) {
		l.exports.put(s.program.Exports)
	}
	if !reflect.DeepEqual(old.Collects, s.program.Collects) {
		l.recollect()
	}
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

func (l *loop) recollect() {
	if l.collect != nil {
		l.collect.stop()
		l.collect, l.gathered = nil, nil
	}
	if len(l.program.Collects) > 0 {
		l.collect = startCollector(l.ctx, l.Runner, l.program.Collects)
	}
}

// rebuild applies the difference between the running graph and what it should now be.
func (l *loop) rebuild() {
	next := l.merge(l.program, l.gathered)
	delta := graph.Diff(l.graph, next, Node.Same)
	l.stopNodes(append(delta.Removed, delta.Changed...))
	l.graph = next
	for _, id := range delta.Removed {
		l.forget(id)
	}
	for _, id := range append(delta.Changed, delta.Added...) {
		l.startNode(next.Vertex(id))
	}
	for _, id := range delta.Kept { // its edges may be others now
		l.evaluate(l.nodes[id])
	}
	l.publish()
}

func (l *loop) startNode(v Node) {
	n := l.nodes[v.ID]
	if n == nil {
		n = &node{}
		l.nodes[v.ID] = n
	} else {
		l.counts[n.state]--
	}
	n.Node, n.state = v, Waiting
	l.counts[Waiting]++
	n.worker = newWorker(l.Runner, l.shared, v)
	n.worker.mark()
	go n.worker.run(l.ctx)
}

func (l *loop) forget(id ID) {
	n := l.nodes[id]
	l.counts[n.state]--
	if n.changed {
		l.changed--
	}
	delete(l.nodes, id)
}

// stopNodes ends the workers of these nodes, all at once, and takes back what they hold.
func (l *loop) stopNodes(ids []ID) {
	for _, id := range ids {
		n := l.nodes[id]
		n.worker.cancel()
		if n.counted {
			l.busy.add(-1)
		}
		n.asked, n.counted = false, false
	}
	bound, cancel := context.WithTimeout(context.Background(), stopBound)
	defer cancel()
	for _, id := range ids {
		l.await(l.nodes[id].worker, bound.Done())
	}
}

// await waits for a worker to end while going on to hear the others, which would block else.
func (l *loop) await(w *worker, bound <-chan struct{}) {
	for {
		select {
		case <-w.ended:
			return
		case other := <-l.wants:
			l.want(other)
		case o := <-l.done:
			l.finish(o)
		case <-bound:
			w.log.Warn("resource does not stop; it is left behind")
			return
		}
	}
}

// stop ends everything.
func (l *loop) stop() {
	if l.collect != nil {
		l.collect.stop()
	}
	l.stopNodes(l.graph.Keys())
	l.exporter.wait()
}

func (l *loop) setState(n *node, s State) {
	l.counts[n.state]--
	l.counts[s]++
	n.state = s
}

// publish makes the counts visible to Status.
func (l *loop) publish() {
	l.snapshot.Store(&snapshot{
		revision: l.revision,
		counts: Counts{
			Total: len(l.nodes), OK: l.counts[OK], Changed: l.changed,
			Failed: l.counts[Failed], Skipped: l.counts[Skipped],
		},
	})
	l.busy.poke()
}
