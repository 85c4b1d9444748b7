// Package settle waits for a state to last.
package settle

import (
	"context"
	"time"
)

// A Wait waits for a state to last.
type Wait struct {
	For   time.Duration // how long it has to be true; zero is the moment it is
	Grace time.Duration // how long it may be false in between without that being counted
	// Changed receives when Is may answer otherwise.
	Changed <-chan struct{}
	Is      func() bool
	Seen    func(bool) // if not nil, told each time the answer changes
}

// Until returns nil once the state has lasted, or ctx's error when ctx is done first.
func (w Wait) Until(ctx context.Context) error {
	last := w.For
	var lasted, lapsed <-chan time.Time
	held := false
	for {
		switch now := w.Is(); {
		case now && w.For <= 0:
			if !held {
				w.tell(true)
			}
			return nil
		case now && held:
			lapsed = nil
		case now:
			held, lasted = true, time.After(w.For)
			w.tell(true)
		case held && lapsed == nil:
			lapsed = time.After(w.Grace)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-lasted:
			if lapsed == nil {
				return nil
			}
			w.For = 0 // it has only to come back
		case <-lapsed:
			held, lasted, lapsed, w.For = false, nil, nil, last
			w.tell(false)
		case <-w.Changed:
		}
	}
}

func (w Wait) tell(is bool) {
	if w.Seen != nil {
		w.Seen(is)
	}
}
