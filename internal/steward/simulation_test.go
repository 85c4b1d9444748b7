package steward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"spore/etcd"
)

// TestSimulation lets hosts die, come back, join, leave and be destroyed, loses calls, replaces
// stewards and sets clocks. The world itself looks for what must never happen; when all is quiet the
// members must become what they should be.
func TestSimulation(t *testing.T) {
	t.Parallel()
	for seed := range uint64(32) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			ideal := []int{1, 3, 5, 4}[seed%4]
			s := &simulation{world: newWorld(t, seed, ideal, "a", "b", "c", "d", "e")}
			s.takeOver()
			for range 1500 {
				s.disturb()
				s.step(2 * time.Second)
			}
			s.quiet()
		})
	}
}

// A simulation is a world with one steward at a time.
type simulation struct {
	*world
	steward *steward
	skew    time.Duration // of the steward's clock
	joined  int
}

// takeOver has another steward act, which knows nothing of what the last one saw.
func (s *simulation) takeOver() {
	var on []string
	for _, m := range s.members {
		if s.runs(m) {
			on = append(on, m.Host)
		}
	}
	host := ""
	if len(on) > 0 {
		host = on[s.rng.IntN(len(on))]
	}
	s.steward = newSteward(Options{
		Store: s.world, Authority: authority{}, Host: host, Log: slog.New(slog.DiscardHandler),
		Now:  func() time.Time { return s.now.Add(s.skew).Round(0) }, // a clock that can be set
		Tick: 2 * time.Second, LearnerTimeout: 2 * time.Minute, Quota: 100,
	})
}

func (s *simulation) step(d time.Duration) {
	s.pass(d)
	s.steward.fleet.set(s.fleet())
	if _, err := s.steward.step(context.Background()); errors.Is(err, errNotMine) {
		s.takeOver()
	}
}

// disturb does something bad, sometimes.
func (s *simulation) disturb() {
	s.flaky = 0.02
	name := s.pick()
	h := s.hosts[name]
	switch s.rng.IntN(120) {
	case 0, 1, 2:
		h.up = false
	case 3, 4, 5, 6:
		h.up = !h.destroyed
	case 7:
		h.leaving = true
	case 8:
		h.leaving = false
	case 9:
		if s.mayLose(name) {
			h.up, h.destroyed = false, true
		}
	case 10:
		h.broken = !h.broken
	case 11:
		if s.joined < 6 {
			s.joined++
			s.join(fmt.Sprint("x", s.joined))
		}
	case 12, 13:
		s.takeOver()
	case 14:
		s.skew += time.Duration(s.rng.IntN(21)-10) * time.Hour
	case 15:
		if s.mayLose(name) { // its host takes its store away for that
			delete(s.orders, name)
		}
	}
}

func (s *simulation) pick() string {
	names := slices.Sorted(maps.Keys(s.hosts))
	return names[s.rng.IntN(len(names))]
}

// mayLose says that the store can do without a host for ever.
func (s *simulation) mayLose(name string) bool {
	voters, left := s.voters(), 0
	for _, m := range voters {
		if h := s.hosts[m.Host]; m.Host != name && !h.destroyed && s.orders[m.Host].Member == m.ID && h.runs == m.ID {
			left++
		}
	}
	return left >= quorum(len(voters))
}

// quiet lets everything heal, and time pass, and looks at what has become of the members.
func (s *simulation) quiet() {
	s.flaky = 0
	for _, h := range s.hosts {
		h.up, h.broken = !h.destroyed, false
	}
	for began := s.now; s.now.Sub(began) < 4*longPause; {
		s.step(10 * time.Second)
	}
	could := map[string]bool{} // serve
	spare := 0
	for name, h := range s.hosts {
		if h.up && !h.leaving {
			could[name] = true
			spare++
		}
	}
	for _, m := range s.members {
		if m.Learner {
			s.t.Errorf("learner %d is still on its way: %s", m.ID, s)
		}
		if could[m.Host] {
			spare--
		}
		if h, ok := s.hosts[m.Host]; ok {
			could[m.Host] = !h.leaving
		}
	}
	s.checkMembers(could, spare)
}

func (s *simulation) checkMembers(could map[string]bool, spare int) {
	able := 0
	for _, ok := range could {
		if ok {
			able++
		}
	}
	want := max(1, min(s.cluster.Ideal, able))
	want -= (want + 1) % 2
	if len(s.members) != want {
		s.t.Errorf("there are %d members, want %d: %s", len(s.members), want, s)
	}
	urls := map[string]bool{}
	for _, m := range s.members {
		urls[m.Client] = true
		if !s.runs(m) && spare > 0 {
			s.t.Errorf("%s is not replaced: %s", m.Host, s)
		}
		if h, ok := s.hosts[m.Host]; ok && h.leaving && spare > 0 {
			s.t.Errorf("%s does not leave: %s", m.Host, s)
		}
		if o := s.orders[m.Host]; o.Member != m.ID && s.runs(m) {
			s.t.Errorf("%s has order %+v: %s", m.Host, o, s)
		}
	}
	told := slices.Sorted(slices.Values(s.endpoints))
	if want := slices.Sorted(maps.Keys(urls)); !slices.Equal(told, want) {
		s.t.Errorf("endpoints are %q, want %q", told, want)
	}
	for name := range s.orders {
		if !slices.ContainsFunc(s.members, func(m etcd.Member) bool { return m.Host == name }) {
			s.t.Errorf("%s has an order and is no member: %s", name, s)
		}
	}
}
