// Package resources is the one list of the kinds that exist.
package resources

import (
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

// Kinds returns all kinds. Those that watch files share hub.
func Kinds(hub *fswatch.Hub) engine.Kinds {
	return engine.NewKinds(
		exec.Kind(),
		file.Kind(hub),
		kv.Kind(),
		msg.Kind(),
		noop.Kind(),
		print.Kind(),
		timer.Kind(),
	)
}
