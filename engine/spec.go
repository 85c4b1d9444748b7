package engine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// A Spec is the declared state of one thing: plain data with json and doc tags on its fields (see
// [Field]). Specs are compared with reflect.DeepEqual and travel as JSON.
type Spec interface {
	// Validate reports everything that is wrong with the spec, as one [FieldError] or several of
	// them joined by errors.Join. It touches nothing outside the spec.
	Validate() error
}

// A Resource keeps one thing in the state its Spec declares. Its methods are called by one worker:
// Check and Apply never at the same time, Watch beside them.
type Resource interface {
	// Watch calls changed once when it is watching, then whenever the thing may have left its
	// declared state. changed never blocks. Watch returns nil when ctx is done.
	Watch(ctx context.Context, changed func()) error
	// Check reports what differs from the declared state; empty means nothing does. It changes
	// nothing.
	Check(ctx context.Context) ([]Change, error)
	// Apply makes the declared state so. changes is what the Check just before reported. An Apply
	// that is cancelled leaves the old or the new state, never half of one.
	Apply(ctx context.Context, changes []Change) error
}

// A Change is one difference between the state found and the state declared.
type Change struct {
	Field string `json:"field"`          // the spec's field, such as "content"
	From  string `json:"from,omitempty"` // as found; short, for people
	To    string `json:"to,omitempty"`   // as declared; short, for people
	Diff  string `json:"diff,omitempty"` // a unified diff, where the values have lines
}

// String gives the change in one line, without its Diff.
func (c Change) String() string {
	if c.From == "" && c.To == "" {
		return c.Field
	}
	return fmt.Sprintf("%s: %s → %s", c.Field, orNone(c.From), orNone(c.To))
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// A FieldError is a mistake in one field of a Spec.
type FieldError struct {
	Field string // the json name; empty if the spec as a whole is wrong
	Err   error
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Err.Error()
	}
	return e.Field + ": " + e.Err.Error()
}

func (e *FieldError) Unwrap() error { return e.Err }

// Invalid returns a [FieldError] for field with a formatted message.
func Invalid(field, format string, args ...any) error {
	return &FieldError{Field: field, Err: fmt.Errorf(format, args...)}
}

// Env is all that a resource is given beside its name and Spec.
type Env struct {
	Host  string       // the host's name in the exchange
	Log   *slog.Logger // already carries host and resource
	Dir   string       // for the resource alone; made (0700) by whoever first needs it; survives restarts
	World World
}

// The interfaces below are optional: a resource has them or not, asked once when it is opened.

// A Refresher reacts to notify edges. Refresh tells it that something which notifies it has changed:
// the next Check, which follows at once, reports what there is to do about it. A resource without
// it is merely checked again. Refresh neither blocks nor touches anything outside the resource.
type Refresher interface {
	Refresh()
}

// A Closer is closed when its node is stopped for good.
type Closer = io.Closer

// Named is implemented by specs in which the resource's name can stand for a field, as a file's
// absolute path does. WithName returns the spec with that field filled in where it was empty.
type Named interface {
	WithName(name string) Spec
}

// Sourced is implemented by specs that may take their content from a file or a tree beside the
// graph file. Such a tree travels with the graph; its digest makes a changed tree a changed spec.
type Sourced interface {
	// Source returns the path as written: relative to the graph file (it travels with the graph),
	// absolute (it is on the host already), or empty.
	Source() string
	// WithSource returns the spec reading path, whose content has digest.
	WithSource(path, digest string) Spec
}

// Collectable is implemented by specs that adapt themselves to the pattern of the collect entry
// that matched them: for a file, the directory it lands in. The pattern says what the exporter must
// not: where on this host a resource may act.
type Collectable interface {
	// ValidatePattern reports what is wrong with a pattern, the empty one included.
	ValidatePattern(pattern string) error
	Collected(pattern string) (Spec, error)
}

// Located is implemented by specs of things that lie in the file system: see [Imply]. No two of a
// host keep the same, unless they declare the same of it.
type Located interface {
	// Location returns the clean path of the thing, if it has one, and whether it is a directory that
	// is made.
	Location() (path string, makes bool)
}

// Exportable is implemented by specs that cannot always be exported; it reports why not.
type Exportable interface {
	Exportable() error
}

// Keyed is implemented by specs that read or write keys of the [World]: a host is granted only those
// that its resources name.
type Keyed interface {
	Keys() []string
}
