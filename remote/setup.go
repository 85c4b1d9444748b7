package remote

import (
	"cmp"
	"context"

	"golang.org/x/sync/errgroup"
)

// setUp puts everything in its place on a connected host: the executable, the files, and the way
// to the store, all at the same time. The caller closes the tunnel, if there is one.
func (s *Session) setUp(ctx context.Context, h *host) (t tunnel, store string, err error) {
	old, err := s.known(h)
	if err != nil {
		return nil, "", atStep(StepProbe, err)
	}
	if s.at == nil && !h.foreign() {
		early := ctx // which is another below
		s.wg.Go(func() { s.warmUp(early, h) })
	}
	pr, err := s.probe(ctx, h, old)
	if err != nil {
		return nil, "", atStep(StepProbe, err)
	}
	s.arrive(pr.place)
	p := s.at
	installed := make(chan struct{})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		v, why, err := pr.verdict()
		s.wg.Go(pr.finish) // a round trip that nobody need wait for
		if err != nil {
			return atStep(StepProbe, err)
		}
		if err := s.install(ctx, h, p, v, why); err != nil {
			return atStep(StepBinary, err)
		}
		close(installed)
		return nil
	})
	if !s.copied {
		g.Go(func() error { return atStep(StepFiles, s.copyFiles(ctx, h, p.run, s.wanted())) })
	}
	if s.o.Dial != nil {
		g.Go(func() (err error) {
			t, store, err = s.openTunnel(ctx, h, p, installed)
			return atStep(StepForward, err)
		})
	}
	err = g.Wait()
	s.copied = err == nil
	return t, store, err
}

// known returns the run directory of an earlier connection, if it is to be used again. One whose
// script may not have heard that it is to be kept may yet be unmade by it: it is given up.
func (s *Session) known(h *host) (run string, err error) {
	if s.at != nil && !s.alive && !s.sure {
		if err := s.sweep(h, butPartial); err != nil {
			return "", err
		}
		s.at = nil
	}
	if s.at == nil {
		return "", nil
	}
	return s.at.run, nil
}

// warmUp opens the SFTP session while the probe is under way. Whoever needs it reports what failed.
func (s *Session) warmUp(ctx context.Context, h *host) {
	if _, release, err := h.sftp(ctx); err == nil {
		release()
	}
}

// arrive takes note of what a probe found and made.
func (s *Session) arrive(p *place) {
	if s.at != nil {
		p.made = append(p.made, s.at.made...)
	}
	if p.fresh {
		if s.alive && s.started {
			s.cause = cmp.Or(s.cause, errGone)
		}
		s.copied, s.sure = false, false
		s.alive = false // whoever lives cannot be found without its directory
	}
	s.at = p
}
