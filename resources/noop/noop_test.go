package noop_test

import (
	"testing"

	"spore/engine"
	"spore/engine/enginetest"
	"spore/resources/noop"
)

func TestLaws(t *testing.T) {
	enginetest.TestKind(t, func(*testing.T) enginetest.Fixture {
		return enginetest.Fixture{Kind: noop.Kind(), Name: "joint", Spec: noop.Spec{Comment: "between two others"}}
	})
}

func TestNothingToDo(t *testing.T) {
	spec, err := noop.Kind().DecodeJSON([]byte(`{"comment": "x"}`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := noop.Kind().Open("joint", spec, engine.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if changes, err := r.Check(t.Context()); err != nil || len(changes) > 0 {
		t.Errorf("check: got %v, %v, want nothing", changes, err)
	}
}
