package dial

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rung []time.Duration
		begin := time.Now()
		var c clock
		for _, d := range []time.Duration{3 * time.Second, 15 * time.Second} {
			c.after(d, func() { rung = append(rung, time.Since(begin)) })
		}
		<-time.After(2 * time.Second)
		one, two := c.pause(), c.pause()
		<-time.After(time.Hour)
		one()
		<-time.After(time.Hour)
		two()
		<-time.After(10 * time.Second)
		c.stop()
		c.pause()() // by who did not know
		<-time.After(time.Hour)
		synctest.Wait()
		if want := []time.Duration{2*time.Hour + 5*time.Second}; !slices.Equal(rung, want) {
			t.Errorf("rung after %v, want %v", rung, want)
		}
	})
}
