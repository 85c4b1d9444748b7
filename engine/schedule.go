package engine

import "time"

// want hears from a worker that its resource is to be checked.
func (l *loop) want(w *worker) {
	n := l.nodes[w.node.ID]
	if n == nil || n.worker != w || w.ctx.Err() != nil {
		l.busy.add(-1) // on its way out
		return
	}
	n.asked, n.counted = true, true
	l.evaluate(n)
	l.publish()
}

// evaluate lets a node run if all that it depends on is as declared, skips it if some of that
// cannot be, and otherwise leaves it waiting.
func (l *loop) evaluate(n *node) {
	if !n.asked {
		return
	}
	blocker, ready := l.blocker(n)
	switch {
	case blocker != nil:
		l.skip(n, blocker)
	case !ready:
		if n.state == Skipped {
			l.setState(n, Waiting)
			l.count(n)
		}
	default:
		l.count(n)
		l.setState(n, Running)
		n.asked, n.counted = false, false // the worker answers for it from here on
		n.worker.grant <- struct{}{}
	}
}

// blocker returns a dependency of n that failed or was skipped, or else whether all are ready.
func (l *loop) blocker(n *node) (failed *node, ready bool) {
	ready = true
	for _, arc := range l.graph.In(n.ID) {
		switch dep := l.nodes[arc.Key]; {
		case dep == nil: // to be started by the rebuild under way
			ready = false
		case dep.state == Failed || dep.state == Skipped:
			return dep, false
		case dep.state != OK && dep.state != Differs, dep.worker.marked():
			ready = false
		}
	}
	return nil, ready
}

func (l *loop) skip(n *node, blocker *node) {
	if n.state != Skipped {
		l.setState(n, Skipped)
		l.observe(Event{Resource: n.ID, State: Skipped, Err: "needs " + blocker.ID.String() + ", which " + verb(blocker.state)})
		l.evaluateDependents(n)
	}
	if n.counted {
		n.counted = false
		l.publish()
		l.busy.add(-1)
	}
}

func verb(s State) string {
	if s == Skipped {
		return "was skipped"
	}
	return "failed"
}

// count makes sure that busy counts the run that n waits for.
func (l *loop) count(n *node) {
	if !n.counted {
		n.counted = true
		l.busy.add(1)
	}
}

// finish hears from a worker how a run ended.
func (l *loop) finish(o outcome) {
	n := l.nodes[o.worker.node.ID]
	if n == nil || n.worker != o.worker {
		l.busy.add(-1) // it was counted until now
		return
	}
	before := n.state
	l.setState(n, o.state)
	if o.applied && !n.changed {
		n.changed = true
		l.changed++
	}
	if o.tells() {
		l.observe(Event{
			Resource: n.ID, State: o.state, Changes: o.changes, Refresh: o.refreshed, Err: o.reason(), Took: o.took,
		})
	}
	if o.moved() {
		l.rouse(n)
	}
	if before != o.state || o.moved() {
		l.evaluateDependents(n)
	}
	l.publish()
	l.busy.add(-1)
}

// rouse has the dependents of a node that changed checked, and refreshed over a notify edge.
func (l *loop) rouse(n *node) {
	for _, arc := range l.graph.Out(n.ID) {
		dependent := l.nodes[arc.Key]
		if arc.Edge.Notify {
			dependent.worker.refresh.Store(true)
		}
		dependent.worker.rouse()
	}
}

func (l *loop) evaluateDependents(n *node) {
	for _, arc := range l.graph.Out(n.ID) {
		if dependent := l.nodes[arc.Key]; dependent != nil {
			l.evaluate(dependent)
		}
	}
}

func (l *loop) observe(e Event) {
	e.Time = time.Now()
	if l.cfg.Observe != nil {
		l.cfg.Observe(e)
	}
}
