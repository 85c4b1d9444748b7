package manifest

import (
	"errors"
	"path"
	"strings"

	"spore/engine"
)

// noop is a kind without fields.
type noop struct{}

func (noop) Validate() error { return nil }

// file has what real kinds have: a name that stands for a path, a source, several mistakes at once.
type file struct {
	Path    string  `json:"path" doc:"The absolute path."`
	Content *string `json:"content,omitempty" doc:"The content."`
	From    string  `json:"source,omitempty" doc:"What to copy."`
	Digest  string  `json:"digest,omitempty"`
	State   string  `json:"state" doc:"Whether it is there." enum:"exists,absent,undefined" default:"exists"`
	Mode    string  `json:"mode,omitempty" doc:"The permissions, such as 0644."`
	Recurse bool    `json:"recurse,omitempty" doc:"Whether to descend."`
}

func (f file) Validate() error {
	var errs []error
	if !strings.HasPrefix(f.Path, "/") {
		errs = append(errs, engine.Invalid("path", "must be absolute"))
	}
	if f.Content != nil && f.From != "" {
		errs = append(errs, engine.Invalid("content", "cannot stand beside source"))
	}
	if f.State == "absent" && f.Recurse {
		errs = append(errs, engine.Invalid("", "what is absent has nothing to descend into"))
	}
	return errors.Join(errs...)
}

func (f file) WithName(name string) engine.Spec {
	if f.Path == "" && strings.HasPrefix(name, "/") {
		f.Path = name
	}
	return f
}

func (f file) Location() (string, bool) { return path.Clean(f.Path), strings.HasSuffix(f.Path, "/") }

func (f file) Source() string { return f.From }

func (f file) WithSource(path, digest string) engine.Spec {
	f.From, f.Digest = path, digest
	return f
}

func (f file) ValidatePattern(pattern string) error {
	if !strings.HasPrefix(pattern, "/") {
		return engine.Invalid("pattern", "want an absolute path, not %q", pattern)
	}
	return nil
}

func (f file) Collected(string) (engine.Spec, error) { return f, nil }

func (f file) Exportable() error {
	if f.From != "" {
		return engine.Invalid("source", "a source cannot be exported")
	}
	return nil
}

// command has fields without effect.
type command struct {
	Cmd     string          `json:"cmd" doc:"What to run."`
	Timeout engine.Duration `json:"timeout,omitempty" doc:"Kill it after this time." unit:"s"`
	PollInt int             `json:"pollint,omitempty" doc:"Without effect." ignored:"true"`
	State   string          `json:"state,omitempty" doc:"Without effect." ignored:"true"`
}

func (c command) Validate() error {
	if c.Cmd == "" {
		return engine.Invalid("cmd", "is missing")
	}
	return nil
}

// timer notifies all that comes after it.
type timer struct {
	Interval engine.Duration `json:"interval" doc:"The time between two ticks." unit:"s" default:"60"`
}

func (timer) Validate() error { return nil }

// box has a field of every type.
type box struct {
	String  string            `json:"string,omitempty" doc:"A string."`
	Maybe   *string           `json:"maybe,omitempty" doc:"A string or none."`
	Bool    bool              `json:"bool,omitempty" doc:"A bool."`
	MayBool *bool             `json:"maybool,omitempty" doc:"A bool or none."`
	Int     int               `json:"int,omitempty" doc:"An int." default:"7"`
	Small   int8              `json:"small,omitempty" doc:"A small int."`
	MayInt  *int              `json:"mayint,omitempty" doc:"An int or none."`
	Float   float64           `json:"float,omitempty" doc:"A float."`
	Millis  engine.Duration   `json:"millis,omitempty" doc:"A duration." unit:"ms" default:"250ms"`
	List    []string          `json:"list,omitempty" doc:"A list." default:"a,b"`
	Map     map[string]string `json:"map,omitempty" doc:"A map."`
	Choice  string            `json:"choice,omitempty" doc:"One of two." enum:"left,right"`
	Hidden  string            `json:"-"`
}

func (box) Validate() error { return nil }

// vault has secrets, and tells them when it is asked what is wrong.
type vault struct {
	Password string            `json:"password,omitempty" doc:"A password." secret:"true"`
	Keys     map[string]string `json:"keys,omitempty" doc:"Keys." secret:"true"`
	Slots    int               `json:"slots,omitempty" doc:"A secret number." secret:"true"`
	User     string            `json:"user,omitempty" doc:"A user."`
}

func (v vault) Validate() error {
	if v.User == "tell" {
		return errors.Join(
			engine.Invalid("password", "%q is too weak", v.Password),
			engine.Invalid("user", "has the password %s", v.Password))
	}
	return nil
}

func kind[S engine.Spec](name string) engine.Kind {
	return engine.NewKind(name, "For tests.", func(string, S, engine.Env) (engine.Resource, error) {
		return nil, errors.New("not opened in these tests")
	})
}

func testKinds() engine.Kinds {
	ticker := kind[timer]("timer")
	ticker.Pulse = true
	return engine.NewKinds(kind[noop]("noop"), kind[file]("file"), kind[command]("exec"), ticker,
		kind[box]("box"), kind[vault]("vault"))
}

func options() Options { return Options{Kinds: testKinds()} }
