package remote

import (
	"context"
	"time"

	"spore/remote/dial"
)

// connect dials until it succeeds. The first time it gives up when ConnectTimeout is over and at
// an error that trying again will not mend; later it goes on for as long as the session does, but
// an error that looks permanent only for ConnectTimeout: a host that boots refuses log-ins.
func (s *Session) connect(ctx context.Context) (*host, error) {
	ctx, cancel := s.until(ctx, s.at != nil)
	defer cancel()
	begin, patience := time.Now(), ctx
	if s.at == nil {
		var end context.CancelFunc
		patience, end = context.WithTimeout(ctx, s.o.ConnectTimeout)
		defer end()
	}
	var retry backoff
	var c *dial.Client
	var err error
	for attempt := 1; ; attempt++ {
		if ctx.Err() != nil {
			return nil, atStep(StepConnect, context.Cause(ctx))
		}
		s.event(Connecting{Attempt: attempt, Err: err})
		c, err = s.dialer.Dial(ctx, s.target)
		if err == nil {
			s.event(Connected{})
			h := newHost(c.Client, c.Close, func(ctx context.Context) (*dial.Client, error) { return s.dialer.Dial(ctx, s.target) })
			h.become = s.become
			return h, nil
		}
		if ctx.Err() != nil {
			return nil, atStep(StepConnect, context.Cause(ctx))
		}
		late := time.Since(begin) >= s.o.ConnectTimeout
		temporary := dial.Temporary(err)
		if s.at == nil && (late || !temporary) || late && !temporary {
			return nil, atStep(StepConnect, err)
		}
		retry.wait(patience, nil) // at its end follows the last attempt
	}
}
