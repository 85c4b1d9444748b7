package dial

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// A clock counts the time that an attempt takes to connect and shake hands, and stands still while a
// person types or an agent asks for a touch. It begins anew then.
type clock struct {
	mu     sync.Mutex
	alarms []alarm
	paused int
	ended  bool
}

type alarm struct {
	after time.Duration
	timer *time.Timer
}

// after calls ring when the clock has run for so long, each time that it does.
func (c *clock) after(d time.Duration, ring func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alarms = append(c.alarms, alarm{d, time.AfterFunc(d, ring)})
}

// pause stops the clock until resume is called.
func (c *clock) pause() (resume func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused++
	for _, a := range c.alarms {
		a.timer.Stop()
	}
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.paused--; c.paused > 0 || c.ended {
			return
		}
		for _, a := range c.alarms {
			a.timer.Reset(a.after)
		}
	})
}

// stop ends the clock for good.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, a := range c.alarms {
		a.timer.Stop()
	}
}

func errSilent(limit time.Duration) error {
	return fmt.Errorf("no answer within %v: %w", limit, os.ErrDeadlineExceeded)
}
