package steward

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"spore/etcd"
)

const (
	// maxStep is the most that one look adds to what is remembered: longer than a look takes and
	// shorter than any timeout that matters.
	maxStep = 15 * time.Second

	firstPause = time.Minute // after a host failed as a learner for the first time
	longPause  = time.Hour   // at most
)

// A memory is what only time tells: since when things are as they are. Its moments count from when
// the steward began.
type memory struct {
	last    time.Time
	elapsed time.Duration

	seen   map[uint64]time.Duration // members: first seen
	silent map[uint64]time.Duration // members that do not answer: since then
	gone   map[string]time.Duration // hosts that are not able: since then
	failed map[string]failure       // hosts that failed as learners
}

type failure struct {
	count int
	until time.Duration
}

func newMemory(now time.Time) *memory {
	return &memory{
		last:   now,
		seen:   make(map[uint64]time.Duration),
		silent: make(map[uint64]time.Duration),
		gone:   make(map[string]time.Duration),
		failed: make(map[string]failure),
	}
}

// advance takes up that it is now, whatever a clock that was set may make of it.
func (m *memory) advance(now time.Time) {
	m.elapsed += min(max(now.Sub(m.last), 0), maxStep)
	m.last = now
}

// fail remembers that host failed as a learner.
func (m *memory) fail(host string) {
	f := m.failed[host]
	f.count++
	pause := min(firstPause<<min(f.count-1, 10), longPause)
	m.failed[host] = failure{f.count, m.elapsed + pause}
}

// suspect remembers that a member of host had to be replaced: others are asked before it.
func (m *memory) suspect(host string) {
	f := m.failed[host]
	f.count = max(1, f.count)
	m.failed[host] = f
}

// forgive forgets that host ever failed.
func (m *memory) forgive(host string) { delete(m.failed, host) }

// view joins what is seen with what is remembered, and remembers it.
func (m *memory) view(s sight) view {
	v := view{
		cluster: s.cluster, leader: leaderOf(s.status),
		hosts: make(map[string]host), orders: s.orders, endpoints: s.endpoints,
	}
	for name := range s.leaving {
		v.hosts[name] = m.host(name, etcd.HostState{}, true)
	}
	for name, state := range s.fleet.Hosts {
		v.hosts[name] = m.host(name, state, s.leaving[name])
	}
	for i, member := range s.members {
		member.Host = cmp.Or(member.Host, v.hostOf(member))
		v.members = append(v.members, m.seat(member, s.status[i], s.voting[member.ID]))
	}
	m.forget(v)
	return v
}

func (m *memory) host(name string, state etcd.HostState, leaving bool) host {
	c := candidacyOf(state)
	f := m.failed[name]
	h := host{
		alive: c.alive, able: c.able(), leaving: leaving,
		barred: m.elapsed < f.until, failures: f.count,
		peer: c.peer, recipient: c.recipient,
	}
	h.gone = since(m.gone, name, !h.able, m.elapsed)
	return h
}

func (m *memory) seat(member etcd.Member, status *etcd.MemberStatus, voting bool) seat {
	s := seat{Member: member, answers: voting, age: since(m.seen, member.ID, true, m.elapsed)}
	if status != nil {
		s.answers = status.Leader != 0
		s.Client = clientURL(member)
		s.size = status.Size
		s.full, s.corrupt = status.Full(), status.Corrupt()
	}
	s.silent = since(m.silent, member.ID, !s.answers, m.elapsed)
	return s
}

// infancy is how long a member may take to serve clients after it has come up: etcd tells the others of
// a new one, and again after seven seconds should that have been lost.
const infancy = 30 * time.Second

// young says that a member has not been known for long.
func (m *memory) young(id uint64) bool {
	began, ok := m.seen[id]
	return !ok || m.elapsed-began < infancy
}

// since returns for how long it has been so, up to now, and remembers since when.
func since[K comparable](began map[K]time.Duration, k K, so bool, now time.Duration) time.Duration {
	if !so {
		delete(began, k)
		return 0
	}
	if _, ok := began[k]; !ok {
		began[k] = now
	}
	return now - began[k]
}

// forget drops what is remembered of members and hosts that there are no more. Failures stay, or a
// host would be forgiven for going away.
func (m *memory) forget(v view) {
	here := func(id uint64) bool {
		return slices.ContainsFunc(v.members, func(s seat) bool { return s.ID == id })
	}
	for _, ids := range []map[uint64]time.Duration{m.seen, m.silent} {
		maps.DeleteFunc(ids, func(id uint64, _ time.Duration) bool { return !here(id) })
	}
	maps.DeleteFunc(m.gone, func(name string, _ time.Duration) bool {
		_, ok := v.hosts[name]
		return !ok
	})
}

// leaderOf is the leader that most members know of.
func leaderOf(status []*etcd.MemberStatus) uint64 {
	votes := make(map[uint64]int)
	for _, st := range status {
		if st != nil && st.Leader != 0 {
			votes[st.Leader]++
		}
	}
	var leader uint64
	for id, n := range votes {
		if n > votes[leader] || n == votes[leader] && id < leader {
			leader = id
		}
	}
	return leader
}

// hostOf finds the host of a member that has never been started: by its order, or by its address.
func (v view) hostOf(m etcd.Member) string {
	for name, o := range v.orders {
		if o.Member == m.ID {
			return name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.hosts)) {
		if h := v.hosts[name]; h.able && h.peer == m.Peer {
			return name
		}
	}
	return ""
}
