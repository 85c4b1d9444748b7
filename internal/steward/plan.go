package steward

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"spore/etcd"
)

// plan returns what is to be done now, in this order: what is written about the members as they are,
// then at most one change of them.
func plan(v view) []action {
	actions := slices.Concat(v.room(), v.orderly(), v.known())
	if a := change(v); a != nil {
		actions = append(actions, a)
	}
	return actions
}

// room lets the store be written again when there is room. No write succeeds before, so it is first.
func (v view) room() []action {
	full := false
	for _, s := range v.members {
		full = full || s.full
		// Disarming takes every alarm away, and nobody must overlook that a member is corrupt.
		if s.corrupt || s.size > v.quota/10*9 {
			return nil
		}
	}
	if !full {
		return nil
	}
	return []action{disarm{}}
}

// orderly makes the orders those of the members.
func (v view) orderly() []action {
	var actions []action
	members := make(map[string]bool)
	for _, s := range v.members {
		members[s.Host] = true
		if h := v.hosts[s.Host]; h.able && !h.leaving && !v.ordered(s) && v.mayOrder(s, h) {
			actions = append(actions, putOrder{s.Host, v.order(s.Member), h.recipient})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.orders)) {
		if !members[name] {
			actions = append(actions, dropOrder{name})
		}
	}
	return actions
}

func (v view) ordered(s seat) bool {
	o, ok := v.orders[s.Host]
	return ok && o.Member == s.ID && o.Cluster == v.cluster.ID && o.Peer == s.Peer && len(o.Authority) > 0
}

// mayOrder says that s may get a new order: it runs, so its store is there, or it never did.
func (v view) mayOrder(s seat, h host) bool {
	return s.answers || s.Learner && s.Client == "" && s.Peer == h.peer
}

// order is the order for m, without the authority.
func (v view) order(m etcd.Member) etcd.Order {
	o := etcd.Order{Member: m.ID, Cluster: v.cluster.ID, Peer: m.Peer, Initial: map[string]string{m.Host: peerURL(m.Peer)}}
	for _, s := range v.members {
		// The store compares numbers and addresses alone; names have but to differ.
		name := cmp.Or(s.Host, fmt.Sprintf("%x", s.ID))
		if s.ID != m.ID {
			o.Initial[name] = peerURL(s.Peer)
		}
	}
	return o
}

// known makes the endpoints those of the voters, the best first.
func (v view) known() []action {
	voters := slices.DeleteFunc(v.voters(), func(s seat) bool { return s.Client == "" })
	slices.SortFunc(voters, func(a, b seat) int {
		return cmp.Or(
			compareBool(a.answers, b.answers),
			compareBool(!v.leaving(a), !v.leaving(b)),
			cmp.Compare(a.Client, b.Client),
		)
	})
	var urls []string
	for _, s := range voters {
		urls = append(urls, s.Client)
	}
	if len(urls) == 0 || slices.Equal(urls, v.endpoints) {
		return nil
	}
	return []action{putEndpoints{urls}}
}

// compareBool puts true first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
