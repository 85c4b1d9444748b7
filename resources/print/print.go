// Package print is the kind that prints a message to the log.
package print

import (
	"context"
	"log/slog"

	"spore/engine"
)

// Spec declares that a message has been printed.
type Spec struct {
	Msg string `json:"msg,omitempty" doc:"The message; if absent, the resource's name."`
}

// Validate finds nothing wrong: any text may be printed.
func (Spec) Validate() error { return nil }

// WithName lets the name stand for the message.
func (s Spec) WithName(name string) engine.Spec {
	if s.Msg == "" {
		s.Msg = name
	}
	return s
}

// Kind returns the kind.
func Kind() engine.Kind {
	return engine.NewKind("print", "Prints a message to the log: once when its turn comes, and at every notification.",
		func(_ string, spec Spec, env engine.Env) (engine.Resource, error) {
			return &resource{spec: spec, log: env.Log}, nil
		})
}

type resource struct {
	spec    Spec
	log     *slog.Logger
	printed bool
}

func (r *resource) Watch(ctx context.Context, changed func()) error {
	changed()
	<-ctx.Done()
	return nil
}

func (r *resource) Check(context.Context) ([]engine.Change, error) {
	if r.printed {
		return nil, nil
	}
	return []engine.Change{{Field: "msg", From: "not printed", To: "printed"}}, nil
}

func (r *resource) Apply(ctx context.Context, changes []engine.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(changes) > 0 {
		r.log.Info(r.spec.Msg)
		r.printed = true
	}
	return nil
}

// Refresh has the message printed again.
func (r *resource) Refresh() { r.printed = false }
