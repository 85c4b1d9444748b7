package dial

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// A clock gives an attempt so much time to connect and shake hands, and stands still while a
// person types or an agent asks for a touch.
type clock struct {
	limit time.Duration

	mu     sync.Mutex
	timer  *time.Timer
	paused int
	ended  bool
}

// startClock calls expired once, limit after the start or after the last pause.
func startClock(limit time.Duration, expired func()) *clock {
	return &clock{limit: limit, timer: time.AfterFunc(limit, expired)}
}

// pause stops the clock until resume is called.
func (c *clock) pause() (resume func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused++
	c.timer.Stop()
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.paused--; c.paused == 0 && !c.ended {
			c.timer.Reset(c.limit)
		}
	})
}

// stop ends the clock for good.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.timer.Stop()
}

func errSilent(limit time.Duration) error {
	return fmt.Errorf("no answer within %v: %w", limit, os.ErrDeadlineExceeded)
}
