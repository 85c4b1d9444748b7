package remote

import (
	"cmp"
	"context"
	"errors"
	"time"
)

const (
	startTime = time.Minute      // how long an agent may take to report for duty
	endTime   = 3 * time.Second  // how long killing and cleaning up may take once time is up
	cleanTime = 10 * time.Second // how long cleaning up may take otherwise
	verdictIn = time.Second      // how long to wait for the reason of an agent's silent end
	maxFails  = 5                // rounds in a row without an agent
	noAgent   = 69               // EX_UNAVAILABLE, with which Attach says that there is none
)

// supervise makes connections, one after the other, until the session is over.
func (s *Session) supervise(ctx context.Context) error {
	for connections := 0; ; connections++ {
		h, err := s.connect(ctx)
		if err != nil {
			return s.abandon(err)
		}
		if connections > 0 {
			s.res.Reconnects++
		}
		over, err := s.tend(ctx, h)
		h.close()
		s.wg.Wait()
		if over {
			return err
		}
		s.event(Dropped{Err: err})
		if s.fails > maxFails {
			return s.abandon(err)
		}
		if s.fails > 0 {
			s.retry.wait(ctx, s.stop)
		}
	}
}

// abandon ends the session without a connection.
func (s *Session) abandon(err error) error {
	if errors.Is(err, errStopped) {
		err = nil
	}
	if s.at == nil {
		return err
	}
	s.warn("%v", ErrNotCleaned)
	return cmp.Or(err, atStep(StepClean, ErrNotCleaned))
}

// tend runs agents over one connection until the session is over or the connection lost.
func (s *Session) tend(ctx context.Context, h *host) (over bool, err error) {
	s.guard(ctx, h)
	for {
		if s.stopping() && !s.alive {
			return true, s.leave(h, nil)
		}
		begin := time.Now()
		err := s.round(ctx, h)
		if time.Since(begin) > lastWait {
			s.retry = backoff{}
		}
		switch {
		case err == nil:
			return true, s.leave(h, nil)
		case ctx.Err() != nil:
			return true, s.leave(h, context.Cause(ctx))
		case h.lost():
			return false, err
		case s.stopping():
			return true, s.leave(h, nil)
		case errors.Is(err, errGone):
		case !s.started || s.fails > maxFails || s.once(err):
			return true, s.leave(h, err)
		default:
			s.retry.wait(ctx, s.stop)
		}
		s.cause = err
	}
}

// once reports whether err is an agent's death that the options have end the session.
func (s *Session) once(err error) bool {
	var died *AgentError
	return s.o.Once && errors.As(err, &died)
}

// guard cuts the connection when the time for an orderly end is over, so that a hung one holds
// nobody up.
func (s *Session) guard(ctx context.Context, h *host) {
	ctx, cancel := s.until(ctx, true)
	s.wg.Go(func() {
		defer cancel()
		select {
		case <-ctx.Done():
		case <-h.dead:
			return
		}
		timer := time.NewTimer(endTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			h.closer()
		case <-h.dead:
		}
	})
}

// round puts everything in its place, and sees an agent through to its end. It returns nil when
// no other is to follow.
func (s *Session) round(ctx context.Context, h *host) error {
	s.fails++
	setup, cancel := s.until(ctx, s.alive)
	defer cancel()
	t, store, err := s.setUp(setup, h)
	if t != nil {
		s.event(Forwarded{Store: store})
		s.wg.Go(func() { s.carry(t) })
		defer t.Close()
	}
	if err != nil {
		return err
	}
	defer s.publish(h)()
	a, err := s.begin(setup, h, Paths{Binary: s.at.path, Run: s.at.run, Store: store})
	if err != nil {
		return err
	}
	defer a.leave()
	return s.watch(ctx, h, a)
}

// begin attaches to the living agent, or starts one.
func (s *Session) begin(ctx context.Context, h *host, p Paths) (*agent, error) {
	if s.alive && s.o.Attach != nil {
		a, err := s.launch(ctx, h, begun("", "sh", s.o.Attach(p)), nil, true)
		return a, atStep(StepAttach, err)
	}
	if s.alive {
		if err := s.sweep(h, agentOnly); err != nil {
			return nil, atStep(StepAttach, err)
		}
		s.alive, s.cause = false, errDropped
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	stdin, err := s.o.Stdin(ctx)
	if err != nil {
		return nil, atStep(StepStart, err)
	}
	s.alive, s.ran = true, true
	a, err := s.launch(ctx, h, recorded(p.Run, s.o.Args(p)), stdin, false)
	return a, atStep(StepStart, err)
}

// watch waits for the agent's end.
func (s *Session) watch(ctx context.Context, h *host, a *agent) error {
	ready, stop := a.ready, s.stop
	var bound <-chan struct{}
	late := time.NewTimer(startTime)
	defer late.Stop()
	for {
		select {
		case <-ready:
			ready = nil
			late.Stop()
			s.up(a)
		case <-a.done:
			select {
			case <-ready: // a nil channel if that is known
				s.up(a)
			default:
			}
			return s.ended(h, a)
		case <-stop:
			stop, bound = nil, s.bound.Done()
			a.stop(s.o.StopLine)
		case <-bound:
			return errStopped
		case <-late.C:
			return atStep(StepStart, errors.New("the agent did not report for duty within a minute"))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-h.dead:
			return errDropped
		}
	}
}

// up takes note of an agent that has reported for duty.
func (s *Session) up(a *agent) {
	cause := s.cause
	s.started, s.sure, s.cause, s.fails = true, true, nil, 0
	switch {
	case a.attached:
		s.event(Reattached{})
	case cause != nil:
		s.res.Restarts++
		s.event(Restarted{Err: cause})
	default:
		s.event(Started{})
	}
}

// ended judges the end of an agent. It returns nil if no other is to follow.
func (s *Session) ended(h *host, a *agent) error {
	end, ok := a.status()
	if !ok {
		timer := time.NewTimer(verdictIn)
		defer timer.Stop()
		select {
		case <-h.dead:
			return errDropped
		case <-timer.C:
		}
	}
	final := ok && end.Signal == "" && s.o.Final(end.Code)
	switch {
	case a.attached && end.Code == noAgent:
		s.alive = false
		if s.stopping() {
			return nil
		}
		return errGone
	case a.attached && !final:
		return atStep(StepAttach, end) // the agent itself may be well
	}
	s.alive = false
	if final || s.stopping() {
		s.res.ExitCode = end.Code
		s.tidy = s.o.Tidy && end.Code == 0
		return nil
	}
	if s.fails > 0 {
		return atStep(StepStart, end)
	}
	return atStep(StepRun, end)
}
