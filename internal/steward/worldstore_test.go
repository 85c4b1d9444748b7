package steward

import (
	"context"
	"errors"
	"maps"
	"slices"

	"spore/etcd"
)

// What follows makes a world the Store that a steward acts on.

func (w *world) Lock(ctx context.Context) (context.Context, func(), error) {
	held, cancel := context.WithCancel(ctx)
	return held, cancel, nil
}

func (w *world) Follow(ctx context.Context, f func(etcd.Fleet)) error {
	f(w.fleet())
	<-ctx.Done()
	return nil
}

func (w *world) Cluster(ctx context.Context) (etcd.Cluster, bool, error) {
	return w.cluster, true, w.call(ctx, "")
}

func (w *world) Leaving(ctx context.Context) (names []string, err error) {
	for name, h := range w.hosts {
		if h.leaving {
			names = append(names, name)
		}
	}
	return names, w.call(ctx, "")
}

func (w *world) Orders(ctx context.Context) (map[string]etcd.Order, error) {
	return maps.Clone(w.orders), w.call(ctx, "")
}

func (w *world) PutOrder(ctx context.Context, host string, o etcd.Order) error {
	if err := w.call(ctx, "PutOrder"); err != nil {
		return err
	}
	if len(o.Authority) == 0 {
		w.t.Errorf("the order of %s has no authority", host)
	}
	w.orders[host] = o
	return w.answer()
}

func (w *world) DropOrder(ctx context.Context, host string) error {
	if err := w.call(ctx, "DropOrder"); err != nil {
		return err
	}
	delete(w.orders, host)
	return w.answer()
}

func (w *world) Endpoints(ctx context.Context) ([]string, error) {
	return w.endpoints, w.call(ctx, "")
}

func (w *world) PutEndpoints(ctx context.Context, urls []string) error {
	if err := w.call(ctx, "PutEndpoints"); err != nil {
		return err
	}
	w.endpoints = urls
	return w.answer()
}

func (w *world) Requests(ctx context.Context) (map[string][]byte, error) {
	return maps.Clone(w.requests), w.call(ctx, "")
}

func (w *world) PutCertificate(ctx context.Context, host string, cert []byte) error {
	if err := w.call(ctx, "PutCertificate"); err != nil {
		return err
	}
	w.certs[host] = cert
	delete(w.requests, host)
	return w.answer()
}

func (w *world) Members(ctx context.Context) ([]etcd.Member, error) {
	list := slices.Clone(w.members)
	for i, m := range list {
		if m.Client == "" {
			list[i].Host = "" // nobody has told its name
		}
	}
	return list, w.call(ctx, "")
}

func (w *world) Status(_ context.Context, endpoint string) (etcd.MemberStatus, error) {
	for _, m := range w.members {
		if m.Client == endpoint && w.runs(m) {
			return etcd.MemberStatus{ID: m.ID, Leader: w.leader, Learner: m.Learner}, nil
		}
	}
	return etcd.MemberStatus{}, errors.New("it does not answer")
}

func (w *world) AddLearner(ctx context.Context, url string) (uint64, error) {
	if err := w.call(ctx, "AddLearner"); err != nil {
		return 0, err
	}
	for name := range w.hosts {
		if peer := name + ":7480"; peerURL(peer) == url {
			w.alone("add "+name, 0)
			w.nextID++
			w.members = append(w.members, etcd.Member{ID: w.nextID, Peer: peer, Learner: true})
			return w.nextID, w.answer()
		}
	}
	w.t.Errorf("a member is added at %q, where there is nobody", url)
	return 0, errors.New("nobody is there")
}

// alone fails the test if another member than id is on its way.
func (w *world) alone(what string, id uint64) {
	for _, m := range w.members {
		if m.Learner && m.ID != id {
			w.t.Errorf("%s, while learner %d is on its way: %s", what, m.ID, w)
		}
	}
}

func (w *world) Promote(ctx context.Context, id uint64) error {
	if err := w.call(ctx, "Promote"); err != nil {
		return err
	}
	i := slices.IndexFunc(w.members, func(m etcd.Member) bool { return m.ID == id })
	if i < 0 || !w.runs(w.members[i]) || !w.hosts[w.members[i].Host].caughtUp {
		return errors.New("can only promote a learner member which is in sync with leader")
	}
	w.alone("promote", id)
	voters := w.voters()
	w.members[i].Learner = false
	w.promoted++
	if n := len(voters); n >= max(1, w.cluster.Ideal) && (n != 1 || !w.hosts[voters[0].Host].leaving) {
		w.t.Errorf("there are %d voters: %s", n+1, w)
	}
	return w.answer()
}

func (w *world) Remove(ctx context.Context, id uint64) error {
	if err := w.call(ctx, "Remove"); err != nil {
		return err
	}
	i := slices.IndexFunc(w.members, func(m etcd.Member) bool { return m.ID == id })
	if i < 0 {
		return nil
	}
	gone := w.members[i]
	w.members = slices.Delete(w.members, i, i+1)
	w.removed = append(w.removed, gone.Host)
	if !gone.Learner {
		w.checkRemoval(gone)
	}
	return w.answer()
}

func (w *world) checkRemoval(gone etcd.Member) {
	w.alone("remove "+gone.Host, 0)
	if gone.ID == w.leader {
		w.t.Errorf("%s is removed, which leads: %s", gone.Host, w)
	}
	voters := w.voters()
	up := 0
	for _, m := range voters {
		if w.runs(m) {
			up++
		}
	}
	if len(voters) == 0 || up < quorum(len(voters)) {
		w.t.Errorf("%s is removed, and no majority is left: %s", gone.Host, w)
	}
}

func (w *world) MoveLeader(ctx context.Context, to uint64) error {
	if err := w.call(ctx, "MoveLeader"); err != nil {
		return err
	}
	w.leader = to
	w.elect()
	return w.answer()
}

func (w *world) Disarm(ctx context.Context) error {
	w.disarmed++
	return w.call(ctx, "Disarm")
}
