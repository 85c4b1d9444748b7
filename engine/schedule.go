package engine

import (
	"reflect"
	"time"
)

// want hears from a worker that its resource is to be checked.
func (l *loop) want(w *worker) {
	n := l.nodes[w.node.ID]
	if n == nil || n.worker != w || w.ctx.Err() != nil { // on its way out
		return
	}
	n.asked = true
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
	case ready:
		l.setState(n, Running)
		n.asked = false
		n.refresh, n.refreshing = false, n.refresh
		n.worker.begin()
		n.worker.grant <- n.refreshing
	default:
		n.worker.block(false)
		if n.state == Skipped {
			l.setState(n, Waiting)
		}
	}
}

// blocker returns a dependency of n that failed or was skipped, or else whether all are ready.
func (l *loop) blocker(n *node) (failed *node, ready bool) {
	ready = true
	for _, arc := range l.graph.In(n.ID) {
		dep := l.nodes[arc.Key]
		switch dep.state {
		case Failed, Skipped:
			return dep, false
		case OK, Differs:
			ready = ready && !dep.worker.stale()
		default:
			ready = false
		}
	}
	return nil, ready
}

// skip gives up on a node until its blocker recovers.
func (l *loop) skip(n *node, blocker *node) {
	if n.state != Skipped {
		why := "failed"
		if blocker.state == Skipped {
			why = "was skipped"
		}
		l.setState(n, Skipped)
		l.observe(n, Event{Err: "needs " + blocker.ID.String() + ", which " + why})
		l.evaluateDependents(n)
		l.publish()
	}
	n.worker.block(true)
}

// finish hears from a worker how a run ended.
func (l *loop) finish(o outcome) {
	n := l.nodes[o.worker.node.ID]
	if n == nil || n.worker != o.worker { // it was left behind
		return
	}
	l.setState(n, o.state)
	n.refresh, n.refreshing = n.refresh || n.refreshing && o.state == Failed, false
	if o.applied && !n.changed {
		n.changed = true
		l.changed++
	}
	l.tell(n, o)
	n.kept = n.kept || o.state == OK
	l.evaluateDependents(n)
	l.publish()
	n.worker.rest()
}

// tell lets the observer and the dependents know what there is to say about an outcome.
func (l *loop) tell(n *node, o outcome) {
	would := o.state == Differs && !reflect.DeepEqual(n.would, o.changes)
	well := o.err == nil && (n.told == Failed || n.told == Skipped)
	n.would = nil
	if o.state == Differs {
		n.would = o.changes
	}
	if o.applied || would || well || o.err != nil {
		e := Event{Changes: o.changes, Refresh: o.refreshed, Took: o.took}
		e.Drift = n.kept && o.applied && len(o.changes) > 0
		if o.err != nil {
			e.Err = o.err.Error()
		}
		l.observe(n, e)
	}
	if o.applied || would {
		l.rouse(n, o.applied)
	}
}

// rouse has the dependents of a node that changed checked, and refreshed over a notify edge. If it
// only would have changed, then those that would be refreshed say so.
func (l *loop) rouse(n *node, applied bool) {
	for _, arc := range l.graph.Out(n.ID) {
		dependent := l.nodes[arc.Key]
		if !applied && !(arc.Edge.Notify && l.noop(dependent.Node)) {
			continue
		}
		dependent.refresh = dependent.refresh || arc.Edge.Notify
		dependent.worker.rouse()
	}
}

func (l *loop) evaluateDependents(n *node) {
	for _, arc := range l.graph.Out(n.ID) {
		l.evaluate(l.nodes[arc.Key])
	}
}

func (l *loop) observe(n *node, e Event) {
	n.told = n.state
	e.Time, e.Resource, e.State = time.Now(), n.ID, n.state
	if n.Sensitive {
		e.Changes = withheld(e.Changes)
	}
	if l.cfg.Observe != nil {
		l.cfg.Observe(e)
	}
}

// withheld returns the changes without any value.
func withheld(changes []Change) []Change {
	fields := make([]Change, len(changes))
	for i, c := range changes {
		fields[i] = Change{Field: c.Field}
	}
	return fields
}
