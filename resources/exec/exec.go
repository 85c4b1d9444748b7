// Package exec is the kind that runs a command: once, when something that it needs is missing, or
// when it is told to.
package exec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"spore/engine"
)

// Kind returns the kind.
func Kind() engine.Kind {
	return engine.NewKind("exec", "Runs a command, and ends it with everything it started when it is cancelled.",
		func(_ string, spec Spec, env engine.Env) (engine.Resource, error) {
			if spec.Cwd == "" {
				spec.Cwd = "/"
			}
			r := &resource{spec: spec, log: env.Log}
			r.due.Store(true)
			return r, nil
		})
}

type resource struct {
	spec      Spec
	log       *slog.Logger
	due       atomic.Bool // it has not run yet, or watchcmd has printed a line since
	refreshed bool
}

// Watch runs watchcmd, if there is one.
func (r *resource) Watch(ctx context.Context, changed func()) error {
	if r.spec.WatchCmd == "" || ctx.Err() != nil {
		changed()
		<-ctx.Done()
		return nil
	}
	var stderr tail
	p, err := r.process("watchcmd", r.spec.WatchCmd, r.spec.WatchShell, nil)
	if err != nil {
		return err
	}
	p.stderr = &stderr
	p.stdout = lines{func() {
		r.due.Store(true)
		changed()
	}}
	err = p.run(ctx, changed)
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		return errors.New("watchcmd ended, which it is not to do")
	}
	return withOutput(err, &stderr)
}

// Check reports whether the command has to run.
func (r *resource) Check(ctx context.Context) ([]engine.Change, error) {
	why, err := r.reason(ctx)
	if err != nil {
		return nil, err
	}
	if why == "" {
		r.refreshed = false // what guards the command has settled the notification
		return nil, nil
	}
	p, err := r.process("cmd", r.spec.Cmd, r.spec.Shell, r.spec.Args)
	if err != nil {
		return nil, err
	}
	to := "run"
	if err := p.startable(ctx); err != nil { // others may make it so until it is run
		to = fmt.Sprintf("run (as things are: %v)", err)
	}
	return []engine.Change{{Field: "cmd", From: why, To: to}}, nil
}

// reason says why the command has to run, if it has to.
func (r *resource) reason(ctx context.Context) (string, error) {
	if r.spec.RefreshOnly && !r.refreshed {
		return "", nil
	}
	why := ""
	switch {
	case r.refreshed:
		why = "notified"
	case r.due.Load():
		why = "not yet run"
	}
	if r.spec.Creates != "" {
		path := r.spec.Creates
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.spec.Cwd, path)
		}
		_, err := os.Lstat(path)
		if err == nil {
			return "", nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("look for what it creates: %w", err)
		}
		why = r.spec.Creates + " is missing"
	}
	if r.spec.IfCmd != "" {
		holds, err := r.holds(ctx)
		if err != nil || !holds {
			return "", err
		}
		if why == "" {
			why = "ifcmd succeeds"
		}
	}
	return why, nil
}

// holds runs ifcmd. That it fails is an answer; that it cannot be run, or is ended, is none.
func (r *resource) holds(ctx context.Context) (bool, error) {
	err := r.runOnce(ctx, "ifcmd", r.spec.IfCmd, r.spec.IfShell, nil)
	if exit, ok := errors.AsType[*exitError](err); ok && exit.state.Exited() {
		return false, nil
	}
	return err == nil, err
}

// Apply runs the command.
func (r *resource) Apply(ctx context.Context, changes []engine.Change) error {
	if len(changes) == 0 {
		return nil
	}
	r.due.Store(false) // before it runs: a line that watchcmd prints meanwhile asks for another run
	if err := r.runOnce(ctx, "cmd", r.spec.Cmd, r.spec.Shell, r.spec.Args); err != nil {
		r.due.Store(true)
		return err
	}
	r.refreshed = false
	return nil
}

// Refresh has the command run again, if what guards it agrees.
func (r *resource) Refresh() { r.refreshed = true }

// runOnce runs a command to its end, within the spec's timeout.
func (r *resource) runOnce(ctx context.Context, field, line, shell string, args []string) error {
	p, err := r.process(field, line, shell, args)
	if err != nil {
		return err
	}
	var output tail
	p.stdout, p.stderr = &output, &output
	bounded := ctx
	if timeout := time.Duration(r.spec.Timeout); timeout > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	err = p.run(bounded, nil)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		err = fmt.Errorf("%s did not end within %v", field, r.spec.Timeout)
	}
	if err != nil {
		return withOutput(err, &output)
	}
	if text := output.String(); text != "" {
		r.log.Debug(field+" has run", "output", text)
	}
	return nil
}

func (r *resource) process(field, line, shell string, args []string) (process, error) {
	words, err := argv(line, shell, args)
	if err != nil {
		return process{}, fmt.Errorf("%s: %w", field, err)
	}
	return process{field: field, argv: words, dir: r.spec.Cwd, env: r.spec.Env, user: r.spec.User}, nil
}

// withOutput adds to an error the end of what the process had to say.
func withOutput(err error, output *tail) error {
	if text := output.lastLines(); text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}
