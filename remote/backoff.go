package remote

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstWait = 100 * time.Millisecond
	lastWait  = 5 * time.Second
)

// A backoff waits longer each time, with jitter, so that many sessions do not retry in step.
type backoff struct{ next time.Duration }

// wait sleeps and reports true, or false as soon as ctx or done ends.
func (b *backoff) wait(ctx context.Context, done <-chan struct{}) bool {
	b.next = min(max(2*b.next, firstWait), lastWait)
	timer := time.NewTimer(b.next/2 + rand.N(b.next)) // #nosec G404 -- jitter is no secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-done:
	}
	return false
}
