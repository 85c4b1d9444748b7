// Package view shows a run: as lines for people, as JSON lines for programs, as a recap at its end.
// All views are fed by one stream of records. An agent writes its records as JSON lines, the
// initiator reads them, adds the host, and hands them on: the format is the same everywhere.
package view

import (
	"log/slog"
	"time"

	"spore/engine"
)

// Format names the version of the JSON lines; it stands in the first record of every stream.
const Format = "spore-events/1"

// Marker is how the first line of every stream begins.
const Marker = `{"format":"` + Format + `"`

// A Type says what a record tells.
type Type string

// The types of records.
const (
	Start     Type = "start"     // the first of a stream: Format and Version
	Log       Type = "log"       // Level, Message, Attrs
	Resource  Type = "resource"  // Event
	Link      Type = "link"      // Message tells what happened to the connection with Host
	Progress  Type = "progress"  // Done of Total bytes are copied to Host
	Converged Type = "converged" // every host has converged
	Diverged  Type = "diverged"  // it has not any longer
	Summary   Type = "recap"     // Recap of Host
	End       Type = "end"       // the last: Exit
)

// A Record is one thing that happened.
type Record struct {
	Format  string            `json:"format,omitempty"`
	Version string            `json:"version,omitempty"`
	Seq     int64             `json:"seq,omitempty"` // counts the records of one agent
	Time    time.Time         `json:"time"`
	Type    Type              `json:"type"`
	Host    string            `json:"host,omitempty"`
	Level   slog.Level        `json:"level,omitempty"`
	Message string            `json:"message,omitempty"`
	Attrs   map[string]string `json:"attrs,omitempty"`
	Event   *engine.Event     `json:"event,omitempty"`
	Done    int64             `json:"done,omitempty"`
	Total   int64             `json:"total,omitempty"`
	Recap   *Recap            `json:"recap,omitempty"`
	Exit    *int              `json:"exit,omitempty"`
}

// A Recap is how a run ended on one host.
type Recap struct {
	engine.Counts
	State string        `json:"state"`           // one of the states below
	Sent  int64         `json:"sent"`            // bytes copied to the host
	Took  time.Duration `json:"took"`            // nanoseconds, from the start of the run to the host's end
	Error string        `json:"error,omitempty"` // why it did not converge
}

// The states of a Recap.
const (
	StateConverged   = "converged"
	StateFailed      = "failed"      // some resource could not be made as declared
	StateUnreachable = "unreachable" // or the agent could not be brought there, or was lost
	StateInterrupted = "interrupted" // the run ended first
)

// A Sink takes records. Emit is safe for concurrent use and does not keep what it is given.
type Sink interface{ Emit(Record) }

// SinkFunc is a function as a Sink.
type SinkFunc func(Record)

// Emit calls f.
func (f SinkFunc) Emit(r Record) { f(r) }

// Begin returns the record that begins a stream.
func Begin(version string) Record {
	return Record{Format: Format, Version: version, Time: time.Now(), Type: Start}
}
