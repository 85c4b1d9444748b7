package steward

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"spore/etcd"
)

// catchUp is how much longer than to come up a learner may take to catch up, as a factor.
const catchUp = 5

// change returns the one change of the members to be made now, or nil.
func change(v view) action {
	if !v.steady() {
		return nil
	}
	if learners := v.learners(); len(learners) > 0 {
		return v.tend(learners)
	}
	for _, rule := range []func() action{v.letGo, v.replace, v.shrink, v.grow} {
		if a := rule(); a != nil {
			return a
		}
	}
	return nil
}

// tend sees a learner through. There is one; if there are more, somebody else added them.
func (v view) tend(learners []seat) action {
	slices.SortFunc(learners, func(a, b seat) int {
		return cmp.Or(compareBool(a.answers, b.answers), cmp.Compare(a.ID, b.ID))
	})
	l, h := learners[0], v.hosts[learners[0].Host]
	voters := v.voters()
	switch {
	case len(learners) > 1:
		return remove{learners[len(learners)-1], "one learner at a time is enough", blameless}
	case h.leaving:
		return remove{l, "its host leaves", blameless}
	case !h.alive:
		return remove{l, "its host is gone", guilty}
	case h.able && h.peer != l.Peer:
		return remove{l, "its host is at another address now", blameless}
	case l.silent >= v.learnerTimeout:
		return remove{l, fmt.Sprintf("it has not come up in %s", v.learnerTimeout), guilty}
	case l.age >= catchUp*v.learnerTimeout:
		return remove{l, fmt.Sprintf("it has not caught up in %s", catchUp*v.learnerTimeout), guilty}
	case len(voters) >= v.most() && !v.alone():
		return remove{l, "it is needed no more", blameless}
	case l.answers && healthy(voters)+1 >= quorum(len(voters)+1):
		return promote{l}
	}
	return nil
}

// alone says that there is one voter and that it leaves, so that another must join first.
func (v view) alone() bool {
	voters := v.voters()
	return len(voters) == 1 && v.leaving(voters[0])
}

// letGo removes a voter whose host leaves.
func (v view) letGo() action {
	if v.alone() {
		return v.add()
	}
	leaving := slices.DeleteFunc(v.voters(), func(s seat) bool { return !v.leaving(s) })
	v.sortForRemoval(leaving)
	for _, s := range leaving {
		if !v.safe(s) {
			continue
		}
		if s.ID != v.leader {
			return remove{s, "its host leaves", blameless}
		}
		if heir, ok := v.heir(); ok {
			return moveLeader{heir}
		}
	}
	return nil
}

// heir is who is to lead in the leader's place.
func (v view) heir() (seat, bool) {
	heirs := v.filter(func(s seat) bool { return !s.Learner && s.answers && s.ID != v.leader })
	slices.SortFunc(heirs, func(a, b seat) int {
		return cmp.Or(compareBool(!v.leaving(a), !v.leaving(b)), cmp.Compare(a.Host, b.Host))
	})
	if len(heirs) == 0 {
		return seat{}, false
	}
	return heirs[0], true
}

// replace removes a voter that has been gone for too long, if there is a host to take its place.
func (v view) replace() action {
	gone := slices.DeleteFunc(v.voters(), func(s seat) bool { return s.answers || s.silent < v.cluster.MemberTimeout })
	v.sortForRemoval(gone)
	for _, s := range gone {
		// Some hosts have to take places that are free already.
		free := max(0, v.most()-len(v.voters()))
		if s.ID != v.leader && v.safe(s) && len(v.candidates(s.ID)) > free {
			return remove{s, fmt.Sprintf("it has not answered for %s", s.silent.Round(time.Second)), suspect}
		}
	}
	return nil
}

// shrink removes a voter that is one too many.
func (v view) shrink() action {
	voters := v.voters()
	if len(voters) <= v.most() {
		return nil
	}
	v.sortForRemoval(voters)
	for _, s := range voters {
		if s.ID != v.leader && v.safe(s) {
			return remove{s, fmt.Sprintf("%d are enough", v.most()), blameless}
		}
	}
	return nil
}

// grow adds a learner if there are too few voters.
func (v view) grow() action {
	if len(v.voters()) >= v.least() {
		return nil
	}
	return v.add()
}

// add adds the best candidate. To become even is no gain, so the next but one has to come as well:
// where there are as many as should be but for two, a host that has failed before is tried first.
func (v view) add() action {
	names := v.candidates(0)
	if len(names) == 0 {
		return nil
	}
	doubtful := 1
	if len(v.voters())%2 == 1 && !v.alone() {
		doubtful = -1
	}
	slices.SortStableFunc(names, func(a, b string) int {
		return doubtful * cmp.Compare(v.hosts[a].failures, v.hosts[b].failures)
	})
	name := names[0]
	h := v.hosts[name]
	return addLearner{name, v.order(etcd.Member{Host: name, Peer: h.peer}), h.recipient}
}

// candidates are the hosts that could become members if the member without were none, by name.
func (v view) candidates(without uint64) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(v.hosts)) {
		h := v.hosts[name]
		if h.willing() && !v.taken(name, h, func(s seat) bool { return s.ID != without }) {
			names = append(names, name)
		}
	}
	return names
}

// sortForRemoval puts those first that are missed least.
func (v view) sortForRemoval(members []seat) {
	slices.SortFunc(members, func(a, b seat) int {
		return cmp.Or(
			compareBool(!a.answers, !b.answers),
			-cmp.Compare(a.silent, b.silent),
			compareBool(a.ID != v.leader, b.ID != v.leader),
			compareBool(a.Host != v.self, b.Host != v.self),
			-cmp.Compare(a.Host, b.Host),
		)
	})
}
