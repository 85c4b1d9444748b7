package chaos

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"time"
)

// A Kind is a way to break a host.
type Kind string

// The kinds of faults.
const (
	KillAgent  Kind = "kill -9 the agent"
	KillStore  Kind = "kill -9 the store"
	PauseAgent Kind = "SIGSTOP the agent"
	PauseStore Kind = "SIGSTOP the store"
	Crash      Kind = "crash the host"
	Reboot     Kind = "reboot the host"
	Cut        Kind = "cut the link"
	CutFrom    Kind = "lose what it sends"
	CutTo      Kind = "lose what it is sent"
	FillDisk   Kind = "fill the disk"
)

// Kinds are all of them, in the order of reports.
var Kinds = [...]Kind{KillAgent, KillStore, PauseAgent, PauseStore, Crash, Reboot, Cut, CutFrom, CutTo, FillDisk}

// A Fault is one entry of a plan.
type Fault struct {
	Number int // from 1
	Kind   Kind
	Count  int           // how many hosts it strikes at once
	Order  []string      // all hosts: it strikes the first of them that can be struck
	Hold   time.Duration // how long it stays; 0 for what passes by itself
	Drift  bool          // a host that was struck, not another, drifts meanwhile, if its agent goes on
}

func (f Fault) String() string {
	text := fmt.Sprintf("#%d %s on %d of %s", f.Number, f.Kind, f.Count, strings.Join(f.Order, " "))
	if f.Hold > 0 {
		text += fmt.Sprintf(" for %v", f.Hold)
	}
	return text
}

// Limits bound the faults of a plan.
type Limits struct {
	Hosts    []string
	Minority int           // the most hosts that are struck at once
	Least    time.Duration // the shortest hold
	Link     time.Duration // the longest hold of a cut, a crash or a full disk
	Pause    time.Duration // the longest hold of a SIGSTOP
}

// Plan returns the endless sequence of faults of a seed. Each kind comes once in any len(Kinds)
// faults, counted from the first.
func Plan(seed uint64, l Limits) iter.Seq[Fault] {
	return func(yield func(Fault) bool) {
		dice := rand.New(rand.NewPCG(seed, 0))
		for number := 1; ; {
			deck := Kinds
			dice.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			for _, kind := range deck {
				if !yield(l.fault(dice, number, kind)) {
					return
				}
				number++
			}
		}
	}
}

// fault throws the dice as often for each kind, so that the rest of a plan depends on none.
func (l Limits) fault(dice *rand.Rand, number int, kind Kind) Fault {
	f := Fault{Number: number, Kind: kind, Count: 1, Order: make([]string, len(l.Hosts))}
	for i, j := range dice.Perm(len(l.Hosts)) {
		f.Order[i] = l.Hosts[j]
	}
	several, share := dice.IntN(4) == 0, dice.Float64()
	f.Drift = dice.IntN(2) == 0
	if several && l.Minority > 1 {
		f.Count = 2 + int(share*float64(l.Minority-1))
	}
	share = dice.Float64()
	if most := l.most(kind); most > 0 {
		f.Hold = (l.Least + time.Duration(share*float64(most-l.Least))).Round(100 * time.Millisecond)
	}
	return f
}

// most is the longest hold of a kind.
func (l Limits) most(kind Kind) time.Duration {
	switch kind {
	case KillAgent, KillStore, Reboot:
		return 0
	case PauseAgent, PauseStore:
		return l.Pause
	default:
		return l.Link
	}
}
