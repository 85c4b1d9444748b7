// Package resources is the one list of the kinds that exist.
package resources

import (
	"io"
	"log/slog"

	"spore/engine"
	"spore/internal/fswatch"
	"spore/resources/exec"
	"spore/resources/file"
	"spore/resources/kv"
	"spore/resources/msg"
	"spore/resources/noop"
	"spore/resources/print"
	"spore/resources/timer"
)

// New returns all kinds. They share what is to be had once per process, such as the queue of file
// events, which is taken from the system when it is first needed and given back by Close; log hears
// of trouble with it.
func New(log *slog.Logger) (engine.Kinds, io.Closer) {
	hub := fswatch.New(log)
	return engine.NewKinds(
		exec.Kind(),
		file.Kind(hub),
		kv.Kind(),
		msg.Kind(),
		noop.Kind(),
		print.Kind(),
		timer.Kind(),
	), hub
}
