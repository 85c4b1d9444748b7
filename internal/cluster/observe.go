package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"spore/etcd"
	"spore/remote"
)

const (
	askBound = 5 * time.Second // of one question to a member
	grace    = 2 * time.Second // for hosts that may be about to report that they have converged
)

// A source is what a status is made of; *etcd.Store is one.
type source interface {
	Follow(ctx context.Context, f func(etcd.Fleet)) error
	Members(ctx context.Context) ([]etcd.Member, error)
}

// Observe calls tell with the cluster's status as it is, then at each change of it and each time that
// the members have been asked how they stand, which is once in so long, until ctx is done. The first
// is that of Status.
func (l *Link) Observe(ctx context.Context, every time.Duration, tell func(Status)) error {
	o, end := l.observer(every)
	defer end()
	return o.settled(ctx, grace, tell)
}

// Status returns how the cluster stands. It waits a moment for hosts that are not converged, which
// may just not have reported, and for members to answer.
func (l *Link) Status(ctx context.Context) (Status, error) {
	o, end := l.observer(time.Hour)
	defer end()
	return o.once(ctx, grace, askBound+time.Second)
}

func (l *Link) observer(every time.Duration) (o *observer, end func()) {
	q := newInquiry(l)
	o = newObserver(l.reacher.Record.Cluster.Name, l.Store, q.ask)
	o.through, o.every = l.Host, every
	return o, q.close
}

// An observer puts a status together as its parts arrive.
type observer struct {
	name    string
	source  source
	ask     func(context.Context, etcd.Member) (etcd.MemberStatus, error)
	through func() string
	every   time.Duration // the members are asked
	bound   time.Duration // of one question to a member
	changed chan struct{} // holds a token when there is news

	mu      sync.Mutex
	fleet   *etcd.Fleet // nil before it is known
	members []etcd.Member
	known   bool // members is
	answers map[uint64]answer
	trouble string
}

// An answer is what came of asking a member.
type answer struct {
	etcd.MemberStatus
	err error
}

func newObserver(name string, s source, ask func(context.Context, etcd.Member) (etcd.MemberStatus, error)) *observer {
	return &observer{
		name: name, source: s, ask: ask, through: func() string { return "" },
		bound: askBound, changed: make(chan struct{}, 1), answers: make(map[uint64]answer),
	}
}

func (o *observer) run(ctx context.Context, tell func(Status)) error {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { o.poll(ctx) })
	followed := make(chan error, 1)
	work.Go(func() {
		followed <- o.source.Follow(ctx, func(f etcd.Fleet) { o.set(func() { o.fleet = &f }) })
	})
	for {
		select {
		case err := <-followed:
			return err
		case <-o.changed:
			if s, ok := o.status(); ok {
				tell(s)
			}
		}
	}
}

// settled is run without what is told before all members have answered and hosts have converged, for
// as long as patience.
func (o *observer) settled(ctx context.Context, patience time.Duration, tell func(Status)) error {
	late := time.Now().Add(patience)
	defer time.AfterFunc(patience, func() { o.set(func() {}) }).Stop()
	begun := false
	return o.run(ctx, func(s Status) {
		begun = begun || !s.asking() && s.count(Working) == 0 || !time.Now().Before(late)
		if begun {
			tell(s)
		}
	})
}

// once returns the status when all is told, or late: hosts have as long as patience to converge.
func (o *observer) once(ctx context.Context, patience, bound time.Duration) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	late := time.After(patience)
	news, ended := make(chan Status), make(chan error, 1)
	go func() {
		ended <- o.run(ctx, func(s Status) {
			select {
			case news <- s:
			case <-ctx.Done():
			}
		})
	}()
	var last *Status
	impatient := false
	for {
		select {
		case s := <-news:
			last = &s
		case <-late:
			impatient = true
		case err := <-ended:
			if last == nil && err == nil {
				err = errors.New("the store does not answer")
			}
			if last == nil || err != nil {
				return Status{}, fmt.Errorf("ask cluster %s how it stands: %w", o.name, err)
			}
			return *last, nil
		}
		if last != nil && !last.asking() && (impatient || last.count(Working) == 0) {
			cancel()
		}
	}
}

// set changes what is known and tells that there is news.
func (o *observer) set(change func()) {
	o.mu.Lock()
	change()
	o.mu.Unlock()
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// poll asks the members how they stand until ctx is done.
func (o *observer) poll(ctx context.Context) {
	for ctx.Err() == nil {
		members, err := o.source.Members(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			o.set(func() { o.trouble = err.Error() })
		} else {
			o.set(func() { o.members, o.known, o.trouble = members, true, "" })
			o.askAll(ctx, members)
		}
		select {
		case <-ctx.Done():
		case <-time.After(o.every):
		}
	}
}

func (o *observer) askAll(ctx context.Context, members []etcd.Member) {
	var all sync.WaitGroup
	for _, m := range members {
		if m.Host == "" {
			continue // nobody knows where to ask
		}
		all.Go(func() {
			bounded, cancel := context.WithTimeoutCause(ctx, o.bound, fmt.Errorf("it has not answered for %v", o.bound))
			defer cancel()
			status, err := o.ask(bounded, m)
			if ctx.Err() == nil {
				o.set(func() { o.answers[m.ID] = answer{status, err} })
			}
		})
	}
	all.Wait()
}

// status returns what is known; false if that is too little.
func (o *observer) status() (Status, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fleet == nil {
		return Status{}, false
	}
	s := NewStatus(o.name, *o.fleet, o.memberStatuses())
	s.Through, s.Trouble = o.through(), cleanLines(o.trouble)
	return s, true
}

func (o *observer) memberStatuses() []MemberStatus {
	if !o.known {
		return nil
	}
	leader := o.leader()
	all := make([]MemberStatus, 0, len(o.members))
	for _, m := range o.members {
		all = append(all, o.memberStatus(m, m.ID == leader))
	}
	return all
}

func (o *observer) memberStatus(m etcd.Member, leads bool) MemberStatus {
	s := MemberStatus{Host: remote.Clean(m.Host), Endpoint: remote.Clean(m.Client), Role: Voter}
	switch {
	case m.Learner:
		s.Role = Learner
	case leads:
		s.Role = Leader
	}
	a, answered := o.answers[m.ID]
	switch {
	case m.Host == "":
		s.Trouble = "it has never been started"
	case !answered:
	case errors.Is(a.err, errNoAddress):
		s.Trouble = "not asked: " + a.err.Error()
	case a.err != nil:
		s.Asked, s.Trouble = true, cleanLines(a.err.Error())
		if errors.Is(a.err, context.DeadlineExceeded) {
			s.Trouble = "does not answer"
		}
	default:
		s.Asked, s.Version, s.Size = true, remote.Clean(a.Version), a.Size
		s.Trouble = remote.Clean(strings.Join(slices.Sorted(slices.Values(a.Errors)), "; "))
	}
	return s
}

// leader is the member whom most take for the leader; 0 if there is none.
func (o *observer) leader() (leader uint64) {
	votes := make(map[uint64]int)
	for _, m := range o.members {
		if a, ok := o.answers[m.ID]; ok && a.err == nil && a.Leader != 0 {
			if votes[a.Leader]++; votes[a.Leader] > votes[leader] {
				leader = a.Leader
			}
		}
	}
	return leader
}
