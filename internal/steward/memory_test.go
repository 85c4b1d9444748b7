package steward

import (
	"testing"
	"time"

	"spore/etcd"
)

// A clock is one that can be set, as time.Now is not.
type clock struct{ now time.Time }

// look has m look at a member that answers or does not, d later by this clock.
func (c *clock) look(m *memory, d time.Duration, status *etcd.MemberStatus) seat {
	c.now = c.now.Add(d)
	m.advance(c.now)
	return m.view(sight{members: []etcd.Member{{ID: 1, Host: "a"}}, status: []*etcd.MemberStatus{status}}).members[0]
}

func TestSilence(t *testing.T) {
	c := clock{time.Unix(1e9, 0)}
	m := newMemory(c.now)
	up := &etcd.MemberStatus{ID: 1, Leader: 1}
	for i, tt := range []struct {
		step   time.Duration
		status *etcd.MemberStatus
		want   time.Duration
	}{
		{0, up, 0},
		{2 * time.Second, nil, 0}, // from now on
		{2 * time.Second, nil, 2 * time.Second},
		{24 * time.Hour, nil, 17 * time.Second}, // the clock was set, or the process was stopped
		{-48 * time.Hour, nil, 17 * time.Second},
		{2 * time.Second, nil, 19 * time.Second},
		{2 * time.Second, &etcd.MemberStatus{ID: 1}, 21 * time.Second}, // it knows no leader
		{2 * time.Second, up, 0},
		{2 * time.Second, nil, 0},
		{2 * time.Second, nil, 2 * time.Second},
	} {
		if got := c.look(m, tt.step, tt.status).silent; got != tt.want {
			t.Errorf("look %d: silent for %s, want %s", i, got, tt.want)
		}
	}
}

func TestMemoryForgets(t *testing.T) {
	c := clock{time.Unix(1e9, 0)}
	m := newMemory(c.now)
	c.look(m, 0, nil)
	m.view(sight{fleet: etcd.Fleet{Hosts: map[string]etcd.HostState{"b": {Graph: 1}}}})
	m.view(sight{})
	if n := len(m.seen) + len(m.silent) + len(m.gone); n != 0 {
		t.Errorf("%d things are remembered of what there is no more", n)
	}
}

func TestFailure(t *testing.T) {
	m := newMemory(time.Unix(1e9, 0))
	barred := func() bool { return m.host("a", etcd.HostState{}, false).barred }
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		m.fail("a")
		m.elapsed += want - 1
		if !barred() {
			t.Errorf("failure %d: asked again before %s", i, want)
		}
		if m.elapsed++; barred() {
			t.Errorf("failure %d: still left alone after %s", i, want)
		}
	}
	for range 100 {
		m.fail("a")
	}
	if m.elapsed += longPause; barred() {
		t.Errorf("left alone for longer than %s", longPause)
	}
	m.fail("a")
	if m.forgive("a"); barred() {
		t.Error("left alone after it succeeded")
	}
}

func TestLeaderOf(t *testing.T) {
	says := func(leaders ...uint64) (all []*etcd.MemberStatus) {
		for _, l := range leaders {
			all = append(all, &etcd.MemberStatus{Leader: l})
		}
		return append(all, nil)
	}
	for want, status := range map[uint64][]*etcd.MemberStatus{
		0: says(0, 0), 1: says(0, 1), 2: says(3, 2, 2), 4: says(5, 4),
	} {
		if got := leaderOf(status); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
}

func TestViewFindsHosts(t *testing.T) {
	able := func(peer string) etcd.HostState {
		return etcd.HostState{HasReport: true, Facts: etcd.Facts{Resident: true, Peer: peer, Recipient: recipient}}
	}
	v := newMemory(time.Unix(1e9, 0)).view(sight{
		members: []etcd.Member{{ID: 1, Peer: "a:1", Learner: true}, {ID: 2, Peer: "b:1"}, {ID: 3, Peer: "c:1"}, {ID: 4, Host: "d"}},
		status:  make([]*etcd.MemberStatus, 4),
		orders:  map[string]etcd.Order{"b": {Member: 2}},
		fleet:   etcd.Fleet{Hosts: map[string]etcd.HostState{"a": able("a:1"), "c": able("malformed"), "e": {}}},
		leaving: map[string]bool{"e": true, "f": true},
	})
	for i, want := range []string{"a", "b", "", "d"} {
		if got := v.members[i].Host; got != want {
			t.Errorf("member %d is of host %q, want %q", i+1, got, want)
		}
	}
	if !v.hosts["a"].willing() || v.hosts["c"].able || !v.hosts["e"].leaving || !v.hosts["f"].leaving {
		t.Errorf("got hosts %+v", v.hosts)
	}
}

// One that is up but has yet to serve clients is no silent member.
func TestVotingIsNotSilence(t *testing.T) {
	m := newMemory(time.Unix(1e9, 0))
	seen := sight{members: []etcd.Member{{ID: 1}, {ID: 2}}, status: make([]*etcd.MemberStatus, 2), voting: map[uint64]bool{1: true}}
	v := m.view(seen)
	if up, down := v.members[0], v.members[1]; !up.answers || up.Client != "" || down.answers {
		t.Errorf("the members are %+v", v.members)
	}
}

// A member that does not answer is replaced by another host, though its own is there and comes first
// by name.
func TestSpareHostBeforeOneThatWasReplaced(t *testing.T) {
	s := &simulation{world: newWorld(t, 1, 3, "a", "b", "c", "d")}
	s.takeOver()
	hosts := func() string {
		names := ""
		for _, m := range s.members {
			names += m.Peer[:1]
		}
		return names
	}
	for range 30 {
		s.step(2 * time.Second)
	}
	if hosts() != "abc" {
		t.Fatalf("the members are %s", s)
	}
	for range 60 {
		s.leader = s.members[0].ID
		s.hosts["c"].runs = 0 // whoever starts it: nothing listens
		s.hosts["c"].broken = true
		if s.step(2 * time.Second); len(s.members) == 3 && hosts() != "abc" && hosts() != "abd" {
			t.Fatalf("the members are %s", s)
		}
	}
	if hosts() != "abd" {
		t.Errorf("the members are %s", s)
	}
}
