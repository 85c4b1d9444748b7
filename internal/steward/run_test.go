package steward

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"spore/etcd"
	"spore/internal/secret"
)

// stewardOf returns the steward of host a that acts on w.
func stewardOf(w *world) *steward {
	s := newSteward(Options{
		Store: w, Authority: authority{}, Host: "a", Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return w.now }, Tick: 2 * time.Second, LearnerTimeout: 2 * time.Minute, Quota: 100,
	})
	s.fleet.set(w.fleet())
	return s
}

func TestLockLostMidway(t *testing.T) {
	w := newWorld(t, 1, 3, "a", "b", "c")
	held, lose := context.WithCancel(t.Context())
	w.during = func(call string) {
		if call == "PutOrder" {
			lose()
		}
	}
	if _, err := stewardOf(w).step(held); !errors.Is(err, context.Canceled) {
		t.Fatalf("got error %v", err)
	}
	if len(w.members) != 2 || len(w.orders) != 1 {
		t.Fatalf("want a learner without an order: %s", w)
	}
	w.during = nil
	next := stewardOf(w)
	if _, err := next.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o := w.orders["b"]; o.Member != w.members[1].ID || len(w.members) != 2 {
		t.Errorf("got order %+v: %s", o, w)
	}
}

func TestOrderHoldsAuthority(t *testing.T) {
	w := newWorld(t, 1, 3, "a", "b", "c")
	s := stewardOf(w)
	identity, recipient := newRecipient(t)
	fleet := w.fleet()
	h := fleet.Hosts["b"]
	h.Facts.Recipient = recipient
	fleet.Hosts["b"] = h
	s.fleet.set(fleet)
	if _, err := s.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	sealed := w.orders["b"].Authority
	if key, err := secret.Decrypt(identity, sealed); err != nil || string(key) != "key" {
		t.Errorf("the order holds %q (%v)", key, err)
	}
}

// A host can write any recipient, and must not be able to keep others from being asked.
func TestMalformedRecipient(t *testing.T) {
	w := newWorld(t, 1, 3, "a", "b", "c", "d")
	s := stewardOf(w)
	fleet := w.fleet()
	h := fleet.Hosts["b"]
	h.Facts.Recipient = "age1"
	fleet.Hosts["b"] = h
	s.fleet.set(fleet)
	if _, err := s.step(t.Context()); !errors.Is(err, errSeal) || len(w.members) != 1 {
		t.Errorf("got error %v: %s", err, w)
	}
	if _, err := s.step(t.Context()); err != nil || w.orders["c"].Member == 0 {
		t.Errorf("c is not asked (%v): %s", err, w)
	}
}

func TestStewardLeavesOwnMemberToOthers(t *testing.T) {
	w := newWorld(t, 1, 3, "a", "b")
	s := stewardOf(w)
	w.hosts["a"].leaving = true
	for range 100 {
		w.pass(time.Second)
		if _, err := s.step(t.Context()); errors.Is(err, errNotMine) {
			if len(w.voters()) != 2 || w.members[0].ID == w.leader {
				t.Errorf("want another to lead: %s", w)
			}
			return
		}
	}
	t.Errorf("it goes on: %s", w)
}

func TestNothingByAnOldLook(t *testing.T) {
	w := newWorld(t, 1, 3, "a", "b", "c")
	s := stewardOf(w)
	s.o.Now = func() time.Time { // each time that it looks at the clock, the process was stopped
		w.now = w.now.Add(tooOld + 1)
		return w.now
	}
	if _, err := s.step(t.Context()); err == nil || len(w.members) != 1 {
		t.Errorf("it acted (%v): %s", err, w)
	}
}

func TestSign(t *testing.T) {
	w := newWorld(t, 1, 1, "a", "b", "c", "d")
	w.hosts["d"].leaving = true
	for _, name := range []string{"a", "b", "d", "stranger"} {
		w.requests[name] = []byte("1")
	}
	w.requests["b"] = []byte("malformed")
	var log bytes.Buffer
	s := stewardOf(w)
	s.o.Log = slog.New(slog.NewTextHandler(&log, nil))
	step := func() {
		if _, err := s.step(t.Context()); err != nil {
			t.Error(err)
		}
	}
	step()
	step()
	if got := bytes.Count(log.Bytes(), []byte("host=b")); got != 1 {
		t.Errorf("it is told %d times that b asks for nonsense", got)
	}
	if got := slices.Collect(maps.Keys(w.certs)); len(got) != 1 || string(w.certs["a"]) != "certificate of a for 1" {
		t.Errorf("certificates for %q, want one for a", got)
	}
	w.requests["a"], w.requests["b"] = []byte("2"), []byte("3")
	step()
	if string(w.certs["a"]) != "certificate of a for 2" || string(w.certs["b"]) != "certificate of b for 3" {
		t.Errorf("the second requests got %q", w.certs)
	}
}

func TestDisarm(t *testing.T) {
	w := newWorld(t, 1, 1, "a")
	s := stewardOf(w)
	full := etcd.MemberStatus{ID: 1, Leader: 1, Size: 50, Errors: []string{"memberID:1 alarm:NOSPACE"}}
	seen := sight{members: w.members, status: []*etcd.MemberStatus{&full}}
	v := s.memory.view(seen)
	if v.quota = 100; len(v.room()) != 1 {
		t.Errorf("it is not disarmed: %+v", v.members)
	}
}

// TestRun has Run itself campaign, lose the lock and campaign again, until ctx is done.
func TestRun(t *testing.T) {
	w := newWorld(t, 1, 1, "a")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lost := &lostLock{world: w, times: 3, last: cancel}
	err := Run(ctx, Options{
		Store: lost, Authority: authority{}, Host: "a", Log: slog.New(slog.DiscardHandler), Tick: time.Millisecond,
	})
	if err != nil || lost.taken != 3 || lost.released != 3 {
		t.Errorf("got %v, the lock was taken %d times and released %d times", err, lost.taken, lost.released)
	}
	w.t = t
	refused := errors.New("permission denied")
	err = Run(t.Context(), Options{Store: refuses{w, refused}, Authority: authority{}, Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, refused) {
		t.Errorf("got error %v, want it to tell that the store refuses", err)
	}
}

// A lostLock is lost as soon as the endpoints have been told.
type lostLock struct {
	*world
	times           int
	last            func()
	taken, released int
	lose            func()
}

func (l *lostLock) Lock(ctx context.Context) (context.Context, func(), error) {
	held, lose := context.WithCancel(ctx)
	l.taken++
	l.endpoints, l.lose = nil, lose
	return held, func() { l.released++; lose() }, nil
}

func (l *lostLock) PutEndpoints(ctx context.Context, urls []string) error {
	if l.lose(); l.taken == l.times {
		l.last()
	}
	return l.world.PutEndpoints(ctx, urls)
}

type refuses struct {
	*world
	err error
}

func (r refuses) Follow(context.Context, func(etcd.Fleet)) error { return r.err }
