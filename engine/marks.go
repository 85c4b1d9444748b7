package engine

import (
	"sync"
	"time"
)

const (
	patience = 4 // failures in a row after which events no longer unsettle the host
	minMute  = 100 * time.Millisecond
	maxMute  = time.Minute
)

// marks are what a resource is known to have to do. While there is something, busy counts it, once:
// update alone decides, and everything else changes the facts it goes by.
type marks struct {
	busy  *busy
	dirty chan struct{} // capacity 1: a run should be asked for

	mu      sync.Mutex
	pending bool // a check is asked for, and not yet begun
	running bool // from the grant of a run until the loop has dealt with its outcome
	blocked bool // by a dependency that failed or was skipped
	roused  bool // by something that gives a resource that fails another chance
	muted   bool // it failed a moment ago: events do not start it
	stopped bool
	counted bool
	strikes int // failures in a row
	unmute  *time.Timer
}

// mark says that the resource may have left its declared state. It never blocks.
func (m *marks) mark() { m.set(func() { m.pending = true }) }

// rouse is mark for a reason that also gives a resource that just failed another chance.
func (m *marks) rouse() {
	m.set(func() { m.pending, m.roused, m.muted = true, true, false })
}

// begin says that a run is granted: it deals with all that was marked until now.
func (m *marks) begin() {
	m.set(func() { m.pending, m.roused, m.blocked, m.running = false, false, false, true })
}

// rest says that the outcome of the run has been dealt with.
func (m *marks) rest() { m.set(func() { m.running = false }) }

// block says whether a dependency keeps the resource from being run.
func (m *marks) block(blocked bool) { m.set(func() { m.blocked = blocked }) }

// stop says that nothing will be dealt with any more.
func (m *marks) stop() {
	m.set(func() {
		m.stopped = true
		if m.unmute != nil {
			m.unmute.Stop()
		}
	})
}

// judge keeps a resource that failed from being run again and again by events of its own making:
// for a while, longer each time, they start nothing. The first few failures in a row leave the host
// unsettled if there are any: what was amiss may be on its way.
func (m *marks) judge(failed bool) {
	m.set(func() {
		if !failed {
			m.strikes = 0
			return
		}
		m.strikes++
		if m.roused || m.stopped {
			return
		}
		m.muted = true
		if m.unmute != nil {
			m.unmute.Stop()
		}
		m.unmute = time.AfterFunc(min(minMute<<min(m.strikes-1, 16), maxMute), func() {
			m.set(func() { m.muted = false })
		})
	})
}

// asks reports whether a run should be asked for.
func (m *marks) asks() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pending && !m.muted
}

// stale reports whether dependents should wait: the resource is about to be checked, or replaced.
// What is marked while a run is under way does not count until its outcome has been dealt with,
// else a resource that is never left in peace would hold up its dependents for good.
func (m *marks) stale() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopped || m.pending && !m.running
}

func (m *marks) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	m.update()
}

// update makes busy and the worker know how things stand. It holds mu.
func (m *marks) update() {
	if m.pending && !m.muted {
		select {
		case m.dirty <- struct{}{}:
		default:
		}
	}
	hopeless := m.blocked || m.muted && m.strikes > patience
	counted := !m.stopped && (m.running || m.pending && !hopeless)
	if counted == m.counted {
		return
	}
	m.counted = counted
	if counted {
		m.busy.add(1)
	} else {
		m.busy.add(-1)
	}
}
