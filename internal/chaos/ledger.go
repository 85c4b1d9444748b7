package chaos

import (
	"slices"
	"sync"
	"time"
)

// A ledger remembers what was asked for and what was acknowledged. What is not acknowledged is asked
// for again, so that never more than one edition is open.
type ledger struct {
	mu      sync.Mutex
	latest  edition // asked for
	asked   time.Time
	open    bool
	refused int // attempts that failed or took too long
	waits   []time.Duration
}

// ask returns the edition to ask for: the open one, or a new one of the epoch.
func (l *ledger) ask(epoch int, now time.Time) edition {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		l.latest = edition{number: l.latest.number + 1, epoch: epoch}
		l.asked, l.open = now, true
	}
	return l.latest
}

// answer notes how an attempt ended.
func (l *ledger) answer(err error, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.refused++
		return
	}
	l.open = false
	l.waits = append(l.waits, now.Sub(l.asked))
}

// acknowledged returns the last edition, and whether it was acknowledged.
func (l *ledger) acknowledged() (edition, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest, !l.open
}

// Deploys are how it went with all editions.
type Deploys struct {
	Acknowledged int
	Refused      int           // attempts; each was repeated
	Median       time.Duration // from asking for an edition to its acknowledgement
	Longest      time.Duration
}

// Unavailable is how much longer than usual somebody had to wait for an acknowledgement.
func (d Deploys) Unavailable() time.Duration { return d.Longest - d.Median }

func (l *ledger) deploys() Deploys {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Deploys{
		Acknowledged: len(l.waits), Refused: l.refused,
		Median: median(l.waits), Longest: longest(l.waits),
	}
}

// median returns the lower one of the two in the middle; 0 of none.
func median(of []time.Duration) time.Duration {
	if len(of) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(of))[(len(of)-1)/2]
}

func longest(of []time.Duration) time.Duration {
	if len(of) == 0 {
		return 0
	}
	return slices.Max(of)
}
