package remote

import (
	"errors"
	"fmt"
	"strings"
)

// A Step is a part of a session that can fail.
type Step string

// The steps, as they appear in front of errors.
const (
	StepConnect Step = "connect"
	StepBecome  Step = "become"
	StepProbe   Step = "probe"
	StepBinary  Step = "copy binary"
	StepFiles   Step = "copy files"
	StepForward Step = "forward store"
	StepStart   Step = "start agent"
	StepAttach  Step = "find agent again"
	StepRun     Step = "run agent"
	StepClean   Step = "clean up"
)

// A StepError says which step of a session failed.
type StepError struct {
	Step Step
	Err  error
}

// Error implements error. The text is safe to show, whatever the host had to say in it.
func (e *StepError) Error() string {
	text := e.Err.Error()
	if !strings.HasPrefix(text, string(e.Step)+" ") { // as "connect to web1" does
		text = string(e.Step) + ": " + text
	}
	return cleanTo(text, maxError)
}

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

// atStep wraps err, unless it is nil or already says its step.
func atStep(step Step, err error) error {
	var known *StepError
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &StepError{Step: step, Err: err}
}

// An AgentError says that the agent ended without being asked to, and how.
type AgentError struct {
	Code   int      // its exit status; 128 and the signal's number when it was killed
	Signal string   // the signal that ended it, such as KILL; "" when it exited
	Stderr []string // the last lines that it wrote to stderr, cleaned
}

// Error implements error.
func (e *AgentError) Error() string {
	how := fmt.Sprintf("the agent exited with status %d", e.Code)
	switch {
	case e.Signal != "":
		how = "the agent was killed by signal " + e.Signal
	case e.Code == 126:
		how += " (it may not be executed)"
	case e.Code == 127:
		how += " (it was not found)"
	case e.Code < 0:
		how = "the agent ended without an exit status"
	}
	if len(e.Stderr) > 0 {
		how += ": " + strings.Join(e.Stderr, "; ")
	}
	return how
}

// A DiskFullError says that a file did not fit on the host.
type DiskFullError struct {
	Path string // what was being written
	Free uint64 // bytes left on its file system
	Err  error  // what SFTP said
}

// Error implements error.
func (e *DiskFullError) Error() string {
	return fmt.Sprintf("write %s: the disk is full (%d bytes free): make room or choose another place with --prefix", e.Path, e.Free)
}

// Unwrap returns what SFTP said.
func (e *DiskFullError) Unwrap() error { return e.Err }

// An UnusableError says that a host has no directory to work in, and why not.
type UnusableError struct {
	Refused []string // "path: reason", in the order in which they were tried
}

// Error implements error.
func (e *UnusableError) Error() string {
	return "no usable directory: " + strings.Join(e.Refused, "; ") + ": choose one with --prefix"
}

// Reasons that callers may want to tell apart.
var (
	// ErrNotCleaned means that the host could not be reached for cleaning up; an agent that still
	// lives there ends by itself.
	ErrNotCleaned = errors.New("the host could not be reached to clean up: an agent that still runs there ends by itself after its orphan timeout")
	// ErrOneSession means that sshd allows no further session beside those that last.
	ErrOneSession = errors.New("the host allows no further SSH session beside those in use (MaxSessions)")
	// ErrEnded means that the session has ended.
	ErrEnded = errors.New("the session has ended")

	errNoSFTP  = errors.New("the host offers no SFTP")
	errStopped = errors.New("the session was asked to stop")
	errDropped = errors.New("the SSH connection was lost")
	errGone    = errors.New("the agent had gone")
)
