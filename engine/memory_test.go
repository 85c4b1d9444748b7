package engine_test

import (
	"testing"

	"spore/engine"
	"spore/engine/enginetest"
)

func TestMemoryKeepsTheLaws(t *testing.T) {
	enginetest.TestWorld(t, func(*testing.T) func(string) engine.World {
		return engine.NewMemory().World
	})
}
