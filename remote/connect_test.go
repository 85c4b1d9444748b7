package remote

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"spore/remote/dial"
)

// refusing is the dialer of a host on which nobody listens.
type refusing struct{ attempts int }

func (r *refusing) Dial(context.Context, dial.Target) (*dial.Client, error) {
	r.attempts++
	return nil, &dial.UnreachableError{Host: "a", Transient: true, Err: syscall.ECONNREFUSED}
}

// A host that may come up is tried for as long as ConnectTimeout, no longer.
func TestConnectGivesUpInTime(t *testing.T) {
	for _, limit := range []time.Duration{5 * time.Second, 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			d, begin := &refusing{}, time.Now()
			s := New(dial.Target{Host: "a"}, d, Options{ConnectTimeout: limit})
			_, err := s.connect(t.Context())
			if !errors.Is(err, syscall.ECONNREFUSED) || time.Since(begin) != limit || d.attempts < 2 {
				t.Errorf("gave up after %v and %d attempts of %v: %v", time.Since(begin), d.attempts, limit, err)
			}
		})
	}
}
