package main

import "errors"

// Exit codes.
const (
	exitOK          = 0   // converged, or what was asked for was done
	exitUsage       = 1   // wrong command line or graph; nothing was touched
	exitFailed      = 2   // some resource failed
	exitUnreachable = 4   // some host was not reached, or lost
	exitInterrupted = 130 // ended by a signal
)

// An exitError ends the command with a code; err is shown if it is not nil.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// codeOf returns the exit code that an error stands for.
func codeOf(err error) int {
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return exitUsage
}

func exit(code int) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code: code}
}
