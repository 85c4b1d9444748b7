package engine

import "time"

// A State is where a resource stands.
type State string

// The states of a resource.
const (
	Waiting State = "waiting" // for its turn, or for what it depends on
	Running State = "running" // being checked or applied
	OK      State = "ok"      // as declared
	Differs State = "differs" // not as declared, and left so: noop
	Failed  State = "failed"  // could not be made so; its retries are used up
	Skipped State = "skipped" // something it depends on failed
)

// An Event tells that a resource was changed, would be changed (noop), failed, was skipped, or is well
// again without having been changed. The events of a converged host are silence.
type Event struct {
	Time     time.Time     `json:"time"`
	Resource ID            `json:"resource"`
	State    State         `json:"state"`
	Changes  []Change      `json:"changes,omitempty"`
	Refresh  bool          `json:"refresh,omitempty"` // it was refreshed by a notify edge
	Drift    bool          `json:"drift,omitempty"`   // it had been as declared, and what it declares is the same
	Err      string        `json:"error,omitempty"`   // why it failed, or which dependency did
	Took     time.Duration `json:"took,omitempty"`    // nanoseconds, of check and apply
}

// Counts are the resources of a host by how they stand.
type Counts struct {
	Total   int `json:"total"`
	OK      int `json:"ok"`
	Changed int `json:"changed"`           // of all, those changed at least once
	Differs int `json:"differs,omitempty"` // those left as they are by noop
	Failed  int `json:"failed"`
	Skipped int `json:"skipped"`
}

// A Status is how a host stands at one moment.
type Status struct {
	// Settled says that nothing is left to do: every resource is as declared, or failed, or
	// skipped, and every change the runner was told of has been dealt with.
	Settled  bool
	Revision int64 // of the running Program, as it was given to Swap
	Counts   Counts
}
