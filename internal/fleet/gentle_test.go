package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"testing"

	"spore/remote/dial"
)

// A bastion hangs up on those that are too many at once.
type bastion struct {
	mu          sync.Mutex
	room        int
	busy, waits int
	rush        chan struct{} // closed when as many as the first rush are there
	refused     int
}

func (b *bastion) Dial(context.Context, dial.Target) (*dial.Client, error) {
	b.mu.Lock()
	b.busy++
	full := b.busy > b.room
	if full {
		b.refused++
	}
	if b.waits--; b.waits == 0 {
		close(b.rush)
	}
	b.mu.Unlock()
	<-b.rush
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy--
	if full {
		return nil, fmt.Errorf("handshake: %w", io.EOF)
	}
	return nil, nil
}

func TestGentle(t *testing.T) {
	b := &bastion{room: 10, waits: 50, rush: make(chan struct{})}
	g := newGentle(b, 50)
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			for {
				if _, err := g.Dial(t.Context(), dial.Target{}); err == nil {
					return
				}
			}
		})
	}
	all.Wait()
	if b.refused == 0 || g.epoch == 0 {
		t.Errorf("%d were refused, and the limit fell %d times", b.refused, g.epoch)
	}
	if g.busy != 0 || g.limit > 50 || g.limit < leastDials {
		t.Errorf("in the end %d are busy, and %v allowed", g.busy, g.limit)
	}
}

func TestGentleLimit(t *testing.T) {
	g := newGentle(nil, 16)
	turn := func(n int) {
		for range n {
			if _, err := g.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	turn(16)
	for range 16 {
		g.leave(0, &dial.UnreachableError{Err: syscall.ECONNRESET})
	}
	if g.limit != 8 {
		t.Errorf("after a rush of which all failed %v are allowed, want 8", g.limit)
	}
	turn(8)
	over, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("over")
	cancel(cause)
	if _, err := g.enter(over); !errors.Is(err, cause) {
		t.Errorf("one too many: %v", err)
	}
	for range 8 {
		g.leave(1, syscall.ETIMEDOUT) // a host that is down says nothing of the others
	}
	if g.limit != 8 {
		t.Errorf("after time-outs %v are allowed, want 8", g.limit)
	}
	for range 500 {
		turn(1)
		g.leave(1, nil)
	}
	if g.limit != 16 {
		t.Errorf("after many that went well %v are allowed, want 16", g.limit)
	}
	for epoch := 1; epoch < 9; epoch++ {
		turn(1)
		g.leave(epoch, io.EOF)
	}
	if g.limit != leastDials {
		t.Errorf("after many failures %v are allowed, want %d", g.limit, leastDials)
	}
}
