package steward

import "time"

// patience is for how long what fails is a matter of course: members elect a leader, a learner has
// not caught up, a new member is not yet trusted by the others.
const patience = 30 * time.Second

// complaints tell of what fails for long, once until it succeeds.
type complaints struct {
	since time.Time // zero if the last try succeeded
	told  bool
}

// note takes up how trying to do what went.
func (c *complaints) note(o Options, what string, err error) {
	now := o.Now()
	switch {
	case err == nil:
		*c = complaints{}
	case c.since.IsZero():
		c.since = now
		o.Log.Debug("cannot "+what+" just now", "error", err)
	case c.told || now.Sub(c.since) < patience:
	default:
		c.told = true
		o.Log.Warn("cannot "+what, "error", err, "for", now.Sub(c.since).Round(time.Second))
	}
}
