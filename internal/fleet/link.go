package fleet

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"spore/etcd"
	"spore/internal/view"
	"spore/remote"
)

// event hears from the session. ready is called when the agent runs.
func (m *member) event(e remote.Event, ready func()) {
	switch e := e.(type) {
	case remote.Copying:
		m.emit(view.Record{Type: view.Progress, Done: e.Done, Total: e.Total})
		return
	case remote.Warning:
		m.log.Warn(e.Text)
		return
	case remote.Started, remote.Reattached, remote.Restarted:
		m.setLinked(true)
		ready()
	case remote.Dropped:
		m.setLinked(false)
	}
	if quiet(e) {
		m.log.Debug(e.String())
		return
	}
	m.emit(view.Record{Type: view.Link, Message: e.String()})
}

// quiet reports whether an event is of interest only to who looks for trouble.
func quiet(e remote.Event) bool {
	switch e := e.(type) {
	case remote.Connecting:
		return e.Attempt&(e.Attempt-1) != 0 || e.Attempt == 1 // the longer it lasts, the rarer it is told
	case remote.Connected, remote.Forwarded, remote.Stopped, remote.Started:
		return true
	}
	return false
}

// output hears a line of the agent: a record. What it says is not trusted: the host's name is
// ours, and only records that tell of the host itself are handed on.
func (m *member) output(line string) {
	var r view.Record
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		m.garbage(line)
		return
	}
	m.mu.Lock()
	seen := r.Seq != 0 && r.Seq <= m.last
	m.last = max(m.last, r.Seq)
	if r.Type == view.End {
		m.farewell = remote.Clean(r.Message)
	}
	m.mu.Unlock()
	if seen {
		return
	}
	switch { // nothing else of it is taken over
	case r.Type == view.Start && r.Version != m.fleet.Version:
		m.log.Warn("the agent is of another version", "its", remote.Clean(r.Version), "ours", m.fleet.Version)
	case r.Type == view.Log:
		m.emit(view.Record{Seq: r.Seq, Time: r.Time, Type: r.Type, Level: r.Level, Message: r.Message, Attrs: r.Attrs})
	case r.Type == view.Resource && r.Event != nil:
		m.emit(view.Record{Seq: r.Seq, Time: r.Time, Type: r.Type, Event: r.Event})
	}
}

// maxGarbage is how many lines that are no records are shown of one agent.
const maxGarbage = 10

func (m *member) garbage(line string) {
	m.mu.Lock()
	m.garbled++
	n := m.garbled
	m.mu.Unlock()
	switch {
	case n <= maxGarbage:
		m.log.Warn("agent wrote what is no record", "line", remote.Clean(line))
	case n == maxGarbage+1:
		m.log.Warn("agent writes much that is no record; it is left out from now on")
	}
}

// stderr hears what the agent says outside its records, such as a panic.
func (m *member) stderr(line string) { m.log.Warn(remote.Clean(line), "from", "stderr") }

func (m *member) emit(r view.Record) {
	r.Host = m.name
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	if r.Type != view.Log || r.Level >= min(m.fleet.LogLevel, slog.LevelInfo) {
		m.fleet.Sink.Emit(r)
	}
}

func (m *member) setLinked(linked bool) {
	m.mu.Lock()
	m.linked = linked
	m.mu.Unlock()
	m.fleet.poke()
}

// link reports whether the host's agent can be reached and has the latest graph, and whether its
// session is over.
func (m *member) link() (ready, ended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.linked && !m.behind, m.ended
}

// failed reports whether the host was not reached, or lost.
func (m *member) failed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err != nil
}

// abandon notes that the host was never tried.
func (m *member) abandon() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
}

// observe takes up how many resources the host says it has changed: an agent that follows another, as
// where the host is left to itself, begins to count anew.
func (m *member) observe(s etcd.HostState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed = max(m.changed, s.Report.Counts.Changed)
}

// keep notes how the host stood when the run came to its end.
func (m *member) keep(s etcd.HostState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.final = s
}

// stop ends the session.
func (m *member) stop(ctx context.Context) {
	m.mu.Lock()
	m.stopped = true
	session := m.session
	m.mu.Unlock()
	if session != nil {
		session.Stop(ctx)
	}
}

// recaps returns how the run ended on each host.
func (f *fleet) recaps() []Recap {
	all := make([]Recap, len(f.members))
	for i, m := range f.members {
		all[i] = Recap{Host: m.name, Recap: m.recap()}
	}
	if f.left {
		for _, name := range slices.Sorted(maps.Keys(f.Detach.Settled)) {
			all = append(all, Recap{Host: name, Recap: f.recapOf(f.latest().Hosts[name])})
		}
	}
	return all
}

// recapOf tells how a host stands, as the store knows it.
func (f *fleet) recapOf(h etcd.HostState) view.Recap {
	r := view.Recap{Counts: h.Report.Counts, State: view.StateInterrupted}
	switch {
	case f.left && !h.HasReport:
		r.State, r.Error = view.StateUnreachable, "it is silent, and takes its graph when it is back"
	case r.Counts.Failed > 0:
		r.State = view.StateFailed
		if len(h.Report.Failures) > 0 {
			r.Error = clip(h.Report.Failures[0])
		}
	case h.HasReport && h.Report.Settled && h.Report.Graph == h.Graph:
		r.State = view.StateConverged
	}
	return r
}

func (m *member) recap() view.Recap {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.fleet.recapOf(m.final)
	r.Changed, r.Sent, r.Took = max(r.Changed, m.changed), m.sent, m.took
	if m.err != nil {
		r.State, r.Error = view.StateUnreachable, m.err.Error()
	}
	return r
}

// clip bounds a text that came from a host by way of the store.
func clip(text string) string {
	const longest = 4 << 10 // bytes
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}
