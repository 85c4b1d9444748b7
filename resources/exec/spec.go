package exec

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"spore/engine"
)

// Spec declares that a command has been run.
type Spec struct {
	Cmd         string            `json:"cmd,omitempty" doc:"The command; if absent, the resource's name. Without shell it is split into words, in which quotes and backslashes work as in a shell, and nothing else does. What it leaves running in the background goes on, without its output."`
	Shell       string            `json:"shell,omitempty" doc:"The shell to run cmd with, as in /bin/sh -c cmd."`
	Args        []string          `json:"args,omitempty" doc:"The arguments, as they are; cmd is then the program, and is not split."`
	Cwd         string            `json:"cwd,omitempty" default:"/" doc:"The directory to run in, an absolute path."`
	Env         map[string]string `json:"env,omitempty" doc:"Variables of its environment, in addition to PATH, HOME, USER, LOGNAME, LANG, LC_ALL, TZ and TMPDIR."`
	User        string            `json:"user,omitempty" doc:"The user to run as, by name or number, with all of that user's groups; only root can run as another."`
	IfCmd       string            `json:"ifcmd,omitempty" doc:"Run cmd only if this command succeeds. It is asked even when nothing may be changed, so it must do no harm."`
	IfShell     string            `json:"ifshell,omitempty" doc:"The shell to run ifcmd with."`
	Creates     string            `json:"creates,omitempty" doc:"Run cmd only if this path does not exist; it is relative to cwd."`
	WatchCmd    string            `json:"watchcmd,omitempty" doc:"A command that runs all the time; each line that it prints is a reason to run cmd, if ifcmd and creates agree. That it ends is an error."`
	WatchShell  string            `json:"watchshell,omitempty" doc:"The shell to run watchcmd with."`
	Timeout     engine.Duration   `json:"timeout,omitempty" unit:"s" default:"0" doc:"End cmd, or ifcmd, after this time, which is a failure; a bare number is in seconds, and 0 is never."`
	RefreshOnly bool              `json:"refreshonly,omitempty" doc:"Run cmd only when notified."`
	PollInt     int               `json:"pollint,omitempty" ignored:"true" doc:"Has no effect; the poll of meta checks at an interval."`
	State       string            `json:"state,omitempty" ignored:"true" enum:"present" doc:"Has no effect."`
}

// Validate reports what cannot be run.
func (s Spec) Validate() error {
	errs := []error{s.validateCmd()}
	for _, c := range []struct{ field, line, shell string }{
		{"ifcmd", s.IfCmd, s.IfShell}, {"watchcmd", s.WatchCmd, s.WatchShell},
	} {
		if c.line == "" {
			continue
		}
		if _, err := argv(c.line, c.shell, nil); err != nil {
			errs = append(errs, engine.Invalid(c.field, "%w", err))
		}
	}
	if s.Cwd != "" && !filepath.IsAbs(s.Cwd) {
		errs = append(errs, engine.Invalid("cwd", "want an absolute path, not %q", s.Cwd))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(s.Env[name], "\x00") {
			errs = append(errs, engine.Invalid("env", "%q cannot be a variable, or its value holds a NUL", name))
		}
	}
	if s.RefreshOnly && s.WatchCmd != "" {
		errs = append(errs, engine.Invalid("watchcmd", "want no watchcmd beside refreshonly: its lines would not run cmd"))
	}
	if s.Timeout < 0 {
		errs = append(errs, engine.Invalid("timeout", "want a time of zero or more"))
	}
	return errors.Join(errs...)
}

func (s Spec) validateCmd() error {
	if s.Shell != "" && s.Args != nil {
		return engine.Invalid("args", "want no args beside shell: give the shell all of it in cmd")
	}
	if strings.Contains(strings.Join(s.Args, ""), "\x00") {
		return engine.Invalid("args", "an argument holds a NUL")
	}
	if _, err := argv(s.Cmd, s.Shell, s.Args); err != nil {
		return engine.Invalid("cmd", "%w", err)
	}
	return nil
}

// WithName lets the name stand for the command.
func (s Spec) WithName(name string) engine.Spec {
	if s.Cmd == "" {
		s.Cmd = name
	}
	return s
}

// argv returns the program of a command line and its arguments.
func argv(line, shell string, args []string) ([]string, error) {
	switch {
	case strings.TrimSpace(line) == "":
		return nil, errors.New("want a command, or a name that stands for it")
	case strings.Contains(line+shell, "\x00"):
		return nil, errors.New("the command holds a NUL")
	case shell != "":
		return []string{shell, "-c", line}, nil
	case args != nil:
		return append([]string{line}, args...), nil
	}
	return split(line)
}
