// Package noop is the kind that does nothing: a joint in a graph for others to come before or after.
package noop

import (
	"context"

	"spore/engine"
)

// Spec declares nothing.
type Spec struct {
	Comment string `json:"comment,omitempty" doc:"Anything, for those who read the graph."`
}

// Validate finds nothing wrong.
func (Spec) Validate() error { return nil }

// Kind returns the kind.
func Kind() engine.Kind {
	return engine.NewKind("noop", "Does nothing, and is as declared at once.", func(string, Spec, engine.Env) (engine.Resource, error) {
		return resource{}, nil
	})
}

type resource struct{}

func (resource) Watch(ctx context.Context, changed func()) error {
	changed()
	<-ctx.Done()
	return nil
}

func (resource) Check(context.Context) ([]engine.Change, error) { return nil, nil }

func (resource) Apply(context.Context, []engine.Change) error { return nil }
