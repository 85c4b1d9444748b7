package fleet

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"

	"spore/remote"
	"spore/remote/dial"
)

// leastDials go on at once however often hosts hang up: one of them may be waiting for a person.
const leastDials = 4

// A gentle dialer lets fewer connections be made at once when those it reaches hang up on some, as
// an sshd, or a bastion's, does that is asked for too many (MaxStartups): half as many, then one more
// for each round that goes well. Until then it limits nothing: whoever waits long for a host that is
// down holds nobody up.
type gentle struct {
	remote.Dialer
	most int

	mu      sync.Mutex
	limit   float64 // how many may be made at once
	busy    int     // how many are
	epoch   int     // counts the times that limit fell
	changed chan struct{}
}

func newGentle(d remote.Dialer, most int) *gentle {
	return &gentle{Dialer: d, most: most, limit: float64(most), changed: make(chan struct{})}
}

// Dial implements remote.Dialer.
func (g *gentle) Dial(ctx context.Context, t dial.Target) (*dial.Client, error) {
	epoch, err := g.enter(ctx)
	if err != nil {
		return nil, err
	}
	c, err := g.Dialer.Dial(ctx, t)
	g.leave(epoch, err)
	return c, err
}

// enter waits for a turn. The epoch tells leave which turns began before the limit fell.
func (g *gentle) enter(ctx context.Context) (epoch int, err error) {
	for {
		g.mu.Lock()
		epoch, changed := g.epoch, g.changed
		free := float64(g.busy+1) <= g.limit
		if free {
			g.busy++
		}
		g.mu.Unlock()
		if free {
			return epoch, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

func (g *gentle) leave(epoch int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	busy := float64(g.busy)
	g.busy--
	switch {
	case err == nil:
		g.limit = min(float64(g.most), g.limit+1/g.limit)
	case hungUp(err) && epoch == g.epoch: // all that fail of one rush count once
		g.limit = max(min(g.limit, busy)/2, min(leastDials, float64(g.most)))
		g.epoch++
	}
	close(g.changed)
	g.changed = make(chan struct{})
}

// hungUp reports whether a connection was taken and then dropped, which is not what becomes of one
// to a host that is down.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
