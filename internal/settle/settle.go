// Package settle waits for a state to last.
package settle

import (
	"context"
	"time"
)

// Wait returns nil once is has been true for d without being seen false in between; with a d of
// zero, at once when it is true. It asks again at each receive from changed, and returns ctx's
// error when ctx is done first. seen, if not nil, is told each time the answer changes.
func Wait(ctx context.Context, d time.Duration, changed <-chan struct{}, is func() bool, seen func(bool)) error {
	var lasted <-chan time.Time
	before := false
	for {
		now := is()
		if now != before && seen != nil {
			seen(now)
		}
		switch {
		case now && d <= 0:
			return nil
		case now && !before:
			lasted = time.After(d)
		case !now:
			lasted = nil
		}
		before = now
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-lasted:
			return nil
		case <-changed:
		}
	}
}
