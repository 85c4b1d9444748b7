package enginetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"spore/engine"
)

// patience bounds every wait. It is generous, since it tells slow from never, not slow from fast.
const patience = time.Minute

// A Fixture is one resource and the piece of the outside that it keeps. What is outside begins in
// any state.
type Fixture struct {
	Kind engine.Kind
	Name string
	Spec engine.Spec
	// World is the resource's exchange; nil is one of its own.
	World engine.World
	// Diverge changes the outside, found in its declared state, so that it has left that state. It
	// is nil for kinds that keep nothing outside the process, as is State.
	Diverge func()
	// State returns a picture of everything outside that the resource may touch, fit for
	// reflect.DeepEqual.
	State func() any
}

// TestKind runs the laws of kinds, each on a fixture of its own.
func TestKind(t *testing.T, fixture func(t *testing.T) Fixture) {
	for _, law := range kindLaws {
		t.Run(law.name, func(t *testing.T) {
			s := newSubject(fixture(t), t.TempDir())
			if err := errors.Join(law.holds(t.Context(), s), s.close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A kindLaw says why it does not hold for a subject, so that the laws can be tested themselves.
type kindLaw struct {
	name  string
	holds func(ctx context.Context, s *subject) error
}

// subject is a fixture on trial.
type subject struct {
	Fixture
	env engine.Env
	res engine.Resource
}

func newSubject(f Fixture, dir string) *subject {
	if named, ok := f.Spec.(engine.Named); ok {
		f.Spec = named.WithName(f.Name)
	}
	if f.World == nil {
		f.World = engine.NewMemory().World("host")
	}
	if f.State == nil {
		f.State = func() any { return nil }
	}
	env := engine.Env{
		Host:  "host",
		Log:   slog.New(slog.DiscardHandler),
		Dir:   filepath.Join(dir, "private"),
		World: f.World,
	}
	return &subject{Fixture: f, env: env}
}

func (s *subject) open() error {
	res, err := s.Kind.Open(s.Name, s.Spec, s.env)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	s.res = res
	return nil
}

func (s *subject) close() error {
	if c, ok := s.res.(engine.Closer); ok {
		if err := c.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
	}
	return nil
}

// check runs Check, which has to leave the outside alone and to say the same twice.
func (s *subject) check(ctx context.Context) ([]engine.Change, error) {
	before := s.State()
	var reports [2][]engine.Change
	for i := range reports {
		changes, err := s.res.Check(ctx)
		if err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
		reports[i] = changes
	}
	if err := same("the state after a check", s.State(), before); err != nil {
		return nil, err
	}
	if len(reports[0]) == 0 && len(reports[1]) == 0 {
		return nil, nil
	}
	for _, c := range reports[0] {
		if c.Field == "" {
			return nil, fmt.Errorf("check: a change names no field: %+v", c)
		}
	}
	return reports[0], same("the second check of one state", reports[1], reports[0])
}

// settled fails unless Check finds nothing to do.
func (s *subject) settled(ctx context.Context) error {
	changes, err := s.check(ctx)
	if err == nil && len(changes) > 0 {
		err = fmt.Errorf("check still reports %v", changes)
	}
	return err
}

// converge brings the outside to its declared state, as a worker does, and returns what Check
// reported before.
func (s *subject) converge(ctx context.Context) ([]engine.Change, error) {
	changes, err := s.check(ctx)
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	if err := s.res.Apply(ctx, changes); err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	if err := s.settled(ctx); err != nil {
		return nil, fmt.Errorf("after an apply: %w", err)
	}
	return changes, nil
}

// diverge takes the outside, which is in its declared state, out of it, and returns what Check
// reports then.
func (s *subject) diverge(ctx context.Context) ([]engine.Change, error) {
	s.Diverge()
	changes, err := s.check(ctx)
	if err == nil && len(changes) == 0 {
		err = errors.New("check reports nothing after Diverge")
	}
	return changes, err
}

// same fails unless got and want are deeply equal.
func same(what string, got, want any) error {
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%s is\n\t%+v, want\n\t%+v", what, got, want)
	}
	return nil
}
