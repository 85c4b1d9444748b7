package remote

import (
	"fmt"
	"time"
)

// An Event is something that happened in a session. It is one of the types of this file; its
// String is a short text, safe to show.
type Event interface {
	fmt.Stringer
	event()
}

// Connecting says that a connection is being tried, for the Attempt-th time in a row; Err is why the
// one before failed.
type Connecting struct {
	Attempt int
	Err     error
}

// Connected says that the host has let us in.
type Connected struct{}

// Probed says what the host is and whether it has the executable of Bytes bytes.
type Probed struct {
	OS, Arch string
	Run      string
	Cached   bool
	Bytes    int64
}

// Copying says how much of the executable has been copied, in bytes.
type Copying struct{ Done, Total int64 }

// Copied says that the executable, of Bytes bytes, lies on the host, verified. Sent is how many
// were sent for that, compressed as they may have been, or none that were there of an earlier attempt.
type Copied struct {
	Bytes, Sent int64
	Took        time.Duration
}

// Forwarded says how the host reaches the store.
type Forwarded struct{ Store string }

// Started says that the agent runs: the first line of its own has come.
type Started struct{}

// Dropped says that the connection was lost.
type Dropped struct{ Err error }

// Reattached says that the same agent was found again after a connection was lost.
type Reattached struct{}

// Restarted says that another agent runs in place of one that ended with Err.
type Restarted struct{ Err error }

// Stopped says that the agent ended and the host was cleaned up; Killed that it had to be killed.
type Stopped struct {
	Code   int
	Killed bool
}

// Warning is something a person should know.
type Warning struct{ Text string }

func (Connecting) event() {}
func (Connected) event()  {}
func (Probed) event()     {}
func (Copying) event()    {}
func (Copied) event()     {}
func (Forwarded) event()  {}
func (Started) event()    {}
func (Dropped) event()    {}
func (Reattached) event() {}
func (Restarted) event()  {}
func (Stopped) event()    {}
func (Warning) event()    {}

func (e Connecting) String() string {
	if e.Attempt > 1 {
		return Clean(fmt.Sprintf("connecting, attempt %d: %v", e.Attempt, e.Err))
	}
	return "connecting"
}

func (Connected) String() string { return "connected" }

func (e Probed) String() string {
	state := "to be copied"
	if e.Cached {
		state = "cached"
	}
	return fmt.Sprintf("%s/%s, binary %s", e.OS, e.Arch, state)
}

func (e Copying) String() string { return fmt.Sprintf("copying: %d of %d bytes", e.Done, e.Total) }
func (e Copied) String() string {
	text := "copied " + mebibytes(e.Bytes)
	if e.Sent != e.Bytes {
		text += " (" + mebibytes(e.Sent) + " sent)"
	}
	return text + fmt.Sprintf(" in %.1f s", e.Took.Seconds())
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func (e Forwarded) String() string { return "store offered at " + e.Store }
func (Started) String() string     { return "agent started" }
func (e Dropped) String() string   { return fmt.Sprintf("connection lost: %v", e.Err) }
func (Reattached) String() string  { return "found the same agent again" }
func (e Restarted) String() string { return fmt.Sprintf("agent restarted: %v", e.Err) }
func (e Warning) String() string   { return e.Text }

func (e Stopped) String() string {
	if e.Killed {
		return "agent killed"
	}
	return fmt.Sprintf("agent stopped with status %d", e.Code)
}
