package steward

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"spore/etcd"
	"spore/internal/secret"
)

// A world is a store, its members and hosts without any network, in which time passes as the test
// says. It fails the test when a steward does what must never be done.
type world struct {
	t   *testing.T
	rng *rand.Rand
	now time.Time

	cluster   etcd.Cluster
	hosts     map[string]*machine
	members   []etcd.Member
	leader    uint64
	nextID    uint64
	orders    map[string]etcd.Order
	endpoints []string
	requests  map[string][]byte
	certs     map[string][]byte
	disarmed  int

	flaky    float64      // the chance that a call fails, before or after it did its work
	during   func(string) // called with the name of each call that changes something
	removed  []string     // hosts of members that were removed
	promoted int
}

// A machine is a host with what runs there.
type machine struct {
	up        bool
	destroyed bool // it never comes up again
	leaving   bool
	seen      time.Time // when it was up last
	broken    bool      // no member ever comes up there
	runs      uint64    // the member it serves as
	caughtUp  bool
	forgotten map[uint64]bool // members whose store it took away
}

var errFlaky = errors.New("the connection was lost")

func newWorld(t *testing.T, seed uint64, ideal int, hosts ...string) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Now(),
		cluster: etcd.Cluster{ID: "id", Ideal: ideal, MemberTimeout: time.Minute},
		hosts:   make(map[string]*machine), orders: make(map[string]etcd.Order), nextID: 100,
		requests: make(map[string][]byte), certs: make(map[string][]byte),
	}
	for _, name := range hosts {
		w.join(name)
	}
	first := hosts[0]
	w.members = []etcd.Member{{ID: 1, Host: first, Peer: first + ":7480", Client: client(first)}}
	w.orders[first] = etcd.Order{Member: 1, Cluster: "id", Peer: first + ":7480", Authority: []byte("sealed")}
	w.hosts[first].runs, w.hosts[first].caughtUp = 1, true
	w.pass(0)
	return w
}

func client(host string) string { return "https://" + host + ":7481" }

func (w *world) join(name string) {
	w.hosts[name] = &machine{up: true, seen: w.now, forgotten: make(map[uint64]bool)}
}

// recipient is that of every host of every world.
const recipient = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa"

type authority struct{}

func (authority) Key() ([]byte, error) { return []byte("key"), nil }

// Alive says what a member is asked that serves clients: all of this world do from the first.
func (authority) Alive(context.Context, string) error { return errors.New("there is no such port") }

func (authority) Sign(host string, request []byte) ([]byte, error) {
	if string(request) == "malformed" {
		return nil, errors.New("it is malformed")
	}
	return []byte("certificate of " + host + " for " + string(request)), nil
}

// pass lets d go by: hosts follow their orders, and the members elect a leader.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	w.elect()
	for _, name := range slices.Sorted(maps.Keys(w.hosts)) {
		if m := w.hosts[name]; m.up {
			m.seen = w.now
			w.obey(name, m)
		}
	}
	w.elect()
}

// obey has a host do as its order says, as far as it can read it.
func (w *world) obey(name string, m *machine) {
	if w.leader == 0 {
		return
	}
	o, ok := w.orders[name]
	if m.runs != 0 && (!ok || o.Member != m.runs) {
		m.forgotten[m.runs] = true
		m.runs, m.caughtUp = 0, false
	}
	if !ok || m.broken {
		return
	}
	if m.runs == 0 {
		w.start(name, m, o)
	} else if w.rng.IntN(3) == 0 {
		m.caughtUp = true
	}
}

// start starts a member that was added for a host.
func (w *world) start(name string, m *machine, o etcd.Order) {
	if m.forgotten[o.Member] {
		w.t.Errorf("%s is to be member %d again, of which it has forgotten everything", name, o.Member)
	}
	i := slices.IndexFunc(w.members, func(o2 etcd.Member) bool { return o2.ID == o.Member })
	if i < 0 {
		return // it was removed, and the order is about to be dropped
	}
	if len(o.Initial) != len(w.members) || o.Initial[name] != peerURL(w.members[i].Peer) {
		w.t.Errorf("the order of %s lists %v, where the members are %v", name, o.Initial, w.members)
	}
	w.members[i].Host, w.members[i].Client = name, client(name)
	m.runs = o.Member
}

func (w *world) elect() {
	voters, answer := 0, []uint64(nil)
	for _, m := range w.members {
		if m.Learner {
			continue
		}
		if voters++; w.runs(m) {
			answer = append(answer, m.ID)
		}
	}
	switch {
	case len(answer) < quorum(voters):
		w.leader = 0
	case !slices.Contains(answer, w.leader):
		w.leader = answer[w.rng.IntN(len(answer))]
	}
}

// runs says that m is up.
func (w *world) runs(m etcd.Member) bool {
	h, ok := w.hosts[m.Host]
	return ok && h.up && h.runs == m.ID
}

func (w *world) fleet() etcd.Fleet {
	f := etcd.Fleet{Hosts: make(map[string]etcd.HostState)}
	for name, m := range w.hosts {
		h := etcd.HostState{Graph: 1}
		if w.now.Sub(m.seen) < 30*time.Second {
			h.HasReport = true
			h.Facts = etcd.Facts{Resident: true, Peer: name + ":7480", Recipient: recipient}
		}
		f.Hosts[name] = h
	}
	return f
}

// call is what each call of the store begins with; it returns the error that ends it.
func (w *world) call(ctx context.Context, changes string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if changes != "" && w.during != nil {
		w.during(changes)
	}
	if w.elect(); w.leader == 0 {
		return errors.New("the store has no leader")
	}
	if w.rng.Float64() < w.flaky {
		return errFlaky
	}
	return ctx.Err()
}

// answer may lose the answer to a call that did its work.
func (w *world) answer() error {
	if w.rng.Float64() < w.flaky {
		return errFlaky
	}
	return nil
}

func (w *world) voters() (voters []etcd.Member) {
	for _, m := range w.members {
		if !m.Learner {
			voters = append(voters, m)
		}
	}
	return voters
}

func (w *world) String() string {
	s := fmt.Sprintf("ideal %d, leader %d;", w.cluster.Ideal, w.leader)
	for _, m := range w.members {
		s += fmt.Sprintf(" member %d of %q at %s (learner %t, up %t);", m.ID, m.Host, m.Peer, m.Learner, w.runs(m))
	}
	for _, name := range slices.Sorted(maps.Keys(w.hosts)) {
		h := w.hosts[name]
		s += fmt.Sprintf(" host %s (up %t, leaving %t, destroyed %t, runs %d);", name, h.up, h.leaving, h.destroyed, h.runs)
	}
	return s
}

func newRecipient(t *testing.T) (identity, recipient string) {
	t.Helper()
	identity, recipient, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return identity, recipient
}
