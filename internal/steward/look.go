package steward

import (
	"context"
	"sync"

	"spore/etcd"
)

// A sight is what one look at the store shows.
type sight struct {
	cluster   etcd.Cluster
	fleet     etcd.Fleet
	orders    map[string]etcd.Order
	leaving   map[string]bool
	endpoints []string
	members   []etcd.Member
	status    []*etcd.MemberStatus // of members, in their order; nil if it does not answer
	voting    map[uint64]bool      // young members that run, and may have yet to serve clients
}

// look returns what there is. There may be no cluster yet, while the store is being handed over.
func (s *steward) look(ctx context.Context) (seen sight, ok bool, err error) {
	if seen.cluster, ok, err = s.o.Store.Cluster(ctx); err != nil || !ok {
		return sight{}, false, err
	}
	// An order is written after its member is there, so one that is seen has a member that is seen.
	if seen.orders, err = s.o.Store.Orders(ctx); err != nil {
		return sight{}, false, err
	}
	if seen.members, err = s.o.Store.Members(ctx); err != nil {
		return sight{}, false, err
	}
	if seen.endpoints, err = s.o.Store.Endpoints(ctx); err != nil {
		return sight{}, false, err
	}
	leaving, err := s.o.Store.Leaving(ctx)
	if err != nil {
		return sight{}, false, err
	}
	seen.leaving = make(map[string]bool)
	for _, name := range leaving {
		seen.leaving[name] = true
	}
	seen.status, seen.voting = s.ask(ctx, seen.members)
	seen.fleet = s.fleet.get()
	return seen, true, ctx.Err() // what a member did not answer because the lock was lost is not silence
}

// ask asks every member at once how it is. One that is new may take seconds to serve clients, while
// the others have long heard from it: whoever runs then does not have to be waited for.
func (s *steward) ask(ctx context.Context, members []etcd.Member) ([]*etcd.MemberStatus, map[uint64]bool) {
	answers, up := make([]*etcd.MemberStatus, len(members)), make([]bool, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		ctx, cancel := context.WithCancel(ctx)
		asked.Go(func() {
			defer cancel()
			// Another member may answer at this address, as may one that was removed and does not know.
			if st, err := s.o.Store.Status(ctx, clientURL(m)); err == nil && st.ID == m.ID {
				answers[i] = &st
			}
		})
		if !s.memory.young(m.ID) {
			continue
		}
		asked.Go(func() {
			if up[i] = s.o.Authority.Alive(ctx, m.Peer) == nil; up[i] {
				wait(ctx, soon, nil)
				cancel()
			}
		})
	}
	asked.Wait()
	voting := make(map[uint64]bool)
	for i, m := range members {
		voting[m.ID] = up[i]
	}
	return answers, voting
}

// clientURL is where a member serves clients. It tells the others a while after it has come up.
func clientURL(m etcd.Member) string {
	if m.Client != "" {
		return m.Client
	}
	_, url, err := etcd.URLs(m.Peer)
	if err != nil {
		return m.Peer // where nobody answers
	}
	return url
}

// A fleetWatch keeps the latest fleet, and says when there is news for the steward.
type fleetWatch struct {
	mu    sync.Mutex
	fleet etcd.Fleet
	news  chan struct{} // holds one
}

func newFleetWatch() *fleetWatch { return &fleetWatch{news: make(chan struct{}, 1)} }

func (w *fleetWatch) get() etcd.Fleet {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fleet
}

// set takes up a fleet. Hosts report all the time: it is news only if another host could serve than
// before.
func (w *fleetWatch) set(f etcd.Fleet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	same := w.fleet.Hosts != nil && len(w.fleet.Hosts) == len(f.Hosts)
	for name, h := range f.Hosts {
		same = same && candidacyOf(h) == candidacyOf(w.fleet.Hosts[name])
	}
	w.fleet = f
	if same {
		return
	}
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// A candidacy is what of a host's state tells whether it could serve.
type candidacy struct {
	alive, resident bool
	peer, recipient string
}

func candidacyOf(h etcd.HostState) candidacy {
	return candidacy{h.HasReport, h.Facts.Resident, h.Facts.Peer, h.Facts.Recipient}
}

func (c candidacy) able() bool {
	return c.alive && c.resident && c.recipient != "" && peerURL(c.peer) != ""
}
