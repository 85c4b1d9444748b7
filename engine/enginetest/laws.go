package enginetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"time"

	"spore/engine"
)

var kindLaws = []kindLaw{
	{"the kind is described", isDescribed},
	{"a spec survives JSON", survivesJSON},
	{"validate reports, whatever the spec", validates},
	{"opening touches nothing", openTouchesNothing},
	{"apply then check is empty", applyThenCheck},
	{"a second apply is a no-op", secondApply},
	{"a refresh keeps the declared state", refreshKeeps},
	{"a watch tells that it watches, and ends", watchEnds},
	{"an outside change fires the watch", watchFires},
	{"drift is repaired again and again", driftIsRepaired},
	{"a cancelled apply leaves the old or the new state", cancelledApply},
}

func openTouchesNothing(ctx context.Context, s *subject) error {
	before := s.State()
	if err := s.open(); err != nil {
		return err
	}
	if _, err := os.Lstat(s.env.Dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open made the private directory (%v)", err)
	}
	return same("the state after open", s.State(), before)
}

func applyThenCheck(ctx context.Context, s *subject) error {
	if err := s.open(); err != nil {
		return err
	}
	if _, err := s.converge(ctx); err != nil || s.Diverge == nil {
		return err
	}
	declared := s.State()
	if _, err := s.diverge(ctx); err != nil {
		return err
	}
	if reflect.DeepEqual(s.State(), declared) {
		return errors.New("the fixture's State does not show what its Diverge does")
	}
	if _, err := s.converge(ctx); err != nil {
		return err
	}
	return same("the state after the second apply", s.State(), declared)
}

func secondApply(ctx context.Context, s *subject) error {
	if err := s.open(); err != nil {
		return err
	}
	changes, err := s.converge(ctx)
	if err != nil {
		return err
	}
	declared := s.State()
	// A worker may be told of the same changes again, or of none when a refresh made it run.
	for _, again := range [][]engine.Change{nil, changes} {
		if err := s.res.Apply(ctx, again); err != nil {
			return fmt.Errorf("apply %v again: %w", again, err)
		}
		if err := same("the state after another apply", s.State(), declared); err != nil {
			return err
		}
		if err := s.settled(ctx); err != nil {
			return err
		}
	}
	return nil
}

func refreshKeeps(ctx context.Context, s *subject) error {
	if err := s.open(); err != nil {
		return err
	}
	r, ok := s.res.(engine.Refresher)
	if !ok {
		return nil
	}
	if _, err := s.converge(ctx); err != nil {
		return err
	}
	declared := s.State()
	r.Refresh()
	if err := same("the state after a refresh alone", s.State(), declared); err != nil {
		return err
	}
	if _, err := s.converge(ctx); err != nil {
		return fmt.Errorf("after a refresh: %w", err)
	}
	return same("the state after a refresh was dealt with", s.State(), declared)
}

func watchEnds(ctx context.Context, s *subject) error {
	if err := s.open(); err != nil {
		return err
	}
	// Twice: a worker watches again after a failure.
	for range 2 {
		w := watch(ctx, s.res.Watch)
		if err := errors.Join(w.wait("at first"), w.end()); err != nil {
			return err
		}
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	return watch(done, s.res.Watch).end()
}

func watchFires(ctx context.Context, s *subject) error {
	if s.Diverge == nil {
		return nil
	}
	if err := s.open(); err != nil {
		return err
	}
	if _, err := s.converge(ctx); err != nil {
		return err
	}
	w := watch(ctx, s.res.Watch)
	err := w.wait("at first")
	if err == nil {
		s.Diverge()
		err = w.wait("after an outside change")
	}
	return errors.Join(err, w.end())
}

// driftIsRepaired does a worker's work, with the watch running beside check and apply.
func driftIsRepaired(ctx context.Context, s *subject) error {
	if s.Diverge == nil {
		return nil
	}
	if err := s.open(); err != nil {
		return err
	}
	w := watch(ctx, s.res.Watch)
	err := s.repairs(ctx, w)
	return errors.Join(err, w.end())
}

func (s *subject) repairs(ctx context.Context, w *watching) error {
	if err := w.wait("at first"); err != nil {
		return err
	}
	if _, err := s.converge(ctx); err != nil {
		return err
	}
	declared := s.State()
	for range 3 {
		s.Diverge()
		for !reflect.DeepEqual(s.State(), declared) {
			if err := w.wait("after an outside change"); err != nil {
				return err
			}
			if _, err := s.converge(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// cancelledApply cancels an apply at every look it takes at its context, then at some moments in
// between.
func cancelledApply(ctx context.Context, s *subject) error {
	if s.Diverge == nil {
		return nil
	}
	if err := s.open(); err != nil {
		return err
	}
	const most = 64 // looks; an apply that takes more is trusted with the rest
	for n := range most {
		cut := cancelAtLook(ctx, n)
		if err := s.cutApply(ctx, cut); err != nil {
			return fmt.Errorf("cancelled at look %d at the context: %w", n, err)
		}
		if !cut.fired() {
			break
		}
	}
	for after := 100 * time.Microsecond; after < 20*time.Millisecond; after *= 2 {
		cut, cancel := context.WithTimeout(ctx, after)
		err := s.cutApply(ctx, cut)
		cancel()
		if err != nil {
			return fmt.Errorf("cancelled after %v: %w", after, err)
		}
	}
	return nil
}

// cutApply runs an apply under cut, which may end at any time, and then sets all right under ctx.
func (s *subject) cutApply(ctx, cut context.Context) error {
	if _, err := s.converge(ctx); err != nil {
		return err
	}
	declared := s.State()
	changes, err := s.diverge(ctx)
	if err != nil {
		return err
	}
	diverged := s.State()

	err = s.res.Apply(cut, changes)
	state := s.State()
	switch {
	case reflect.DeepEqual(state, declared):
	case err == nil:
		return same("apply returned nil, but the state", state, declared)
	case !reflect.DeepEqual(state, diverged):
		return fmt.Errorf("the state is\n\t%+v, neither the old\n\t%+v, nor the new\n\t%+v", state, diverged, declared)
	}
	if _, err := s.converge(ctx); err != nil {
		return err
	}
	return same("the state after the apply was repeated", s.State(), declared)
}
