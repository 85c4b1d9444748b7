package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
)

// leave ends what still lives on the host, takes away what the session made there, and returns
// err, or what failed of that.
func (s *Session) leave(h *host, err error) error {
	killed := s.alive
	if !s.left() {
		if failed := s.sweep(h, everything); failed != nil {
			s.warn("%v", atStep(StepClean, failed))
			return cmp.Or(err, atStep(StepClean, failed))
		}
	}
	if s.ran {
		s.event(Stopped{Code: s.res.ExitCode, Killed: killed})
	}
	s.at, s.alive = nil, false
	return err
}

// left reports whether the agent has seen to it that nothing but the cache stays.
func (s *Session) left() bool { return s.tidy && s.at.cached() && len(s.at.made) == 0 }

// A sweeping says what a sweep takes away.
type sweeping int

const (
	everything sweeping = iota
	butPartial          // all but a partial executable, which is to be gone on with
	agentOnly           // the agent, and nothing of what lies there
)

// sweep kills the agent if one may be living, and takes away what it is to. It goes on though the session's own context has ended, until guard cuts the
// connection.
func (s *Session) sweep(h *host, what sweeping) error {
	if s.at == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
	defer cancel()
	dirs, err := Quote(s.at.emptied(s.o.Prefix)...)
	if err != nil {
		return err
	}
	partial := ""
	if s.at.cached() && what == everything {
		partial = s.at.partial()
	}
	sc, err := h.script(ctx, cleanScript, "main "+dirs, variable{"run", s.at.run},
		variable{"kill", flag(s.alive)}, variable{"keep", flag(what == agentOnly)}, variable{"partial", partial})
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrNotCleaned, err)
	}
	defer sc.finish()
	var left []string
	for {
		key, value, err := sc.next()
		switch {
		case err != nil:
			return fmt.Errorf("%w (%w)", ErrNotCleaned, err)
		case key == "left":
			left = append(left, Clean(value))
		case key == "end" && len(left) > 0:
			return errors.New("the host keeps " + strings.Join(left, ", "))
		case key == "end":
			return nil
		}
	}
}
