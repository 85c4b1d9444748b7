// Package msg is the kind that logs a message: to the agent's log and, if asked for, to the host's
// journal or syslog.
package msg

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"spore/engine"
)

// Spec declares that a message has been logged.
type Spec struct {
	Body     string            `json:"body,omitempty" doc:"The message; if absent, the resource's name."`
	Priority string            `json:"priority,omitempty" default:"info" doc:"How urgent it is: emerg, alert, crit, err, warning, notice, info or debug, in capitals or not."`
	Fields   map[string]string `json:"fields,omitempty" doc:"Further fields of the entry, each named by letters, digits and underscores, a letter first."`
	Journal  bool              `json:"journal,omitempty" doc:"Write it to systemd's journal too."`
	Syslog   bool              `json:"syslog,omitempty" doc:"Write it to syslog too."`
}

// priorities are in the order of their numbers, 0 to 7.
var priorities = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// Validate reports a priority that does not exist, and fields that no journal takes.
func (s Spec) Validate() error {
	var errs []error
	if s.priority() < 0 {
		errs = append(errs, engine.Invalid("priority", "want one of %s, not %q", strings.Join(priorities, ", "), s.Priority))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Fields)) {
		if !isFieldName(name) {
			errs = append(errs, engine.Invalid("fields", "want a letter, then letters, digits and underscores, at most 64 in all, not %q", name))
		}
	}
	return errors.Join(errs...)
}

func isFieldName(name string) bool {
	for i, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r != '_' && (r < '0' || r > '9')) {
			return false
		}
	}
	return 0 < len(name) && len(name) <= 64
}

// WithName lets the name stand for the message.
func (s Spec) WithName(name string) engine.Spec {
	if s.Body == "" {
		s.Body = name
	}
	return s
}

// priority returns the number that syslog has for it, or -1 if there is none.
func (s Spec) priority() int {
	if s.Priority == "" {
		return slices.Index(priorities, "info")
	}
	return slices.Index(priorities, strings.ToLower(s.Priority))
}

func (s Spec) level() slog.Level {
	switch p := s.priority(); {
	case p <= 3:
		return slog.LevelError
	case p == 4:
		return slog.LevelWarn
	case p == 7:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// Kind returns the kind.
func Kind() engine.Kind {
	return engine.NewKind("msg", "Logs a message: once when its turn comes, and at every notification.",
		func(_ string, spec Spec, env engine.Env) (engine.Resource, error) {
			return open(spec, env.Log, journalSocket, syslogSocket), nil
		})
}

// A resource has somewhere to write to, and remembers where it has written: what failed is written
// again without repeating the rest.
type resource struct {
	writers []writer
	written int
}

type writer func(ctx context.Context) error

func open(spec Spec, log *slog.Logger, journal, syslog string) *resource {
	r := &resource{writers: []writer{func(ctx context.Context) error {
		attrs := make([]slog.Attr, 0, len(spec.Fields))
		for _, name := range slices.Sorted(maps.Keys(spec.Fields)) {
			attrs = append(attrs, slog.String(name, spec.Fields[name]))
		}
		log.LogAttrs(ctx, spec.level(), spec.Body, attrs...)
		return nil
	}}}
	if spec.Journal {
		r.writers = append(r.writers, func(ctx context.Context) error {
			return send(ctx, "the journal", journal, journalEntry(spec))
		})
	}
	if spec.Syslog {
		r.writers = append(r.writers, func(ctx context.Context) error {
			return send(ctx, "syslog", syslog, syslogEntry(spec))
		})
	}
	return r
}

func (r *resource) Watch(ctx context.Context, changed func()) error {
	changed()
	<-ctx.Done()
	return nil
}

func (r *resource) Check(context.Context) ([]engine.Change, error) {
	if r.written == len(r.writers) {
		return nil, nil
	}
	return []engine.Change{{Field: "body", From: "not logged", To: "logged"}}, nil
}

func (r *resource) Apply(ctx context.Context, _ []engine.Change) error {
	for ; r.written < len(r.writers); r.written++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.writers[r.written](ctx); err != nil {
			return err
		}
	}
	return nil
}

// Refresh has the message logged again.
func (r *resource) Refresh() { r.written = 0 }
