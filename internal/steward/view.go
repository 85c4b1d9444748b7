package steward

import (
	"time"

	"spore/etcd"
)

// A view is all that plan goes by: the store, its members and the hosts at one moment.
type view struct {
	cluster   etcd.Cluster
	quota     int64  // bytes that the store may take
	self      string // the host of this steward
	leader    uint64 // 0 if nobody leads
	members   []seat
	hosts     map[string]host
	orders    map[string]etcd.Order
	endpoints []string

	learnerTimeout time.Duration
}

// A seat is a member of the store, as seen by the steward. Its Host is known for learners that have
// not been started as well, if anything tells it.
type seat struct {
	etcd.Member
	answers bool          // it does, and knows of a leader
	silent  time.Duration // for how long it has not answered; of a learner, not been started
	age     time.Duration // for how long it has been seen
	size    int64         // bytes that its store takes
	full    bool          // it has stopped all writes for want of room
	corrupt bool
}

// A host is one that might serve the store.
type host struct {
	alive     bool          // it reports
	able      bool          // and has told all that a member needs
	gone      time.Duration // for how long it has not been able
	leaving   bool
	barred    bool // it failed as a learner, not long ago
	failures  int  // how often it failed, since it last succeeded
	peer      string
	recipient string
}

// willing says that h may be asked to serve now.
func (h host) willing() bool { return h.able && !h.leaving && !h.barred }

func (v view) voters() []seat   { return v.filter(func(s seat) bool { return !s.Learner }) }
func (v view) learners() []seat { return v.filter(func(s seat) bool { return s.Learner }) }

func (v view) filter(keep func(seat) bool) []seat {
	var some []seat
	for _, s := range v.members {
		if keep(s) {
			some = append(some, s)
		}
	}
	return some
}

func (v view) leaving(s seat) bool { return v.hosts[s.Host].leaving }

// healthy counts the members that answer.
func healthy(members []seat) int {
	n := 0
	for _, s := range members {
		if s.answers {
			n++
		}
	}
	return n
}

// quorum is the least majority of n.
func quorum(n int) int { return n/2 + 1 }

// steady says that the store has a leader and a majority that answers.
func (v view) steady() bool {
	voters := v.voters()
	return v.leader != 0 && healthy(voters) >= quorum(len(voters))
}

// safe says that the store goes on without the voter s: a majority of the others answers.
func (v view) safe(s seat) bool {
	rest := v.filter(func(o seat) bool { return !o.Learner && o.ID != s.ID })
	return len(rest) > 0 && healthy(rest) >= quorum(len(rest))
}

// size returns how many voters there should be, if beside those there are every host that counts
// could serve. It is odd.
func (v view) size(counts func(host) bool) int {
	able := 0
	for _, s := range v.voters() {
		if !v.leaving(s) {
			able++
		}
	}
	for name, h := range v.hosts {
		if counts(h) && !v.taken(name, h, func(s seat) bool { return !s.Learner }) {
			able++
		}
	}
	n := max(1, min(v.cluster.Ideal, able))
	return n - (n+1)%2
}

// least is the size to grow to: only hosts that can be asked now count.
func (v view) least() int { return v.size(host.willing) }

// most is the size to shrink to: a host that has gone counts for as long as a member would.
func (v view) most() int {
	return v.size(func(h host) bool {
		return !h.leaving && !h.barred && (h.able || h.gone < v.cluster.MemberTimeout)
	})
}

// taken says that one of these members is the host's, or sits at its address under another name.
func (v view) taken(name string, h host, these func(seat) bool) bool {
	for _, s := range v.members {
		if these(s) && (s.Host == name || h.peer != "" && s.Peer == h.peer) {
			return true
		}
	}
	return false
}
