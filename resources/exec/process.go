package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// grace is what a process group has to end in after SIGTERM. It is short, since whoever cancels
	// waits for it.
	grace = 300 * time.Millisecond
	// pipeDelay is how long the output of a process that has ended, or was cancelled, is still read:
	// something that it left running may hold it open for ever.
	pipeDelay = 500 * time.Millisecond

	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// A process is a command that is to be run, in a process group of its own.
type process struct {
	field  string // of the spec, for errors
	argv   []string
	dir    string
	env    map[string]string
	user   string
	stdout io.Writer
	stderr io.Writer
}

// An exitError says that a process ran, and did not succeed.
type exitError struct {
	field string
	state *os.ProcessState
}

func (e *exitError) Error() string {
	if status, ok := e.state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return fmt.Sprintf("%s was ended by signal %d (%v)", e.field, int(status.Signal()), status.Signal())
	}
	return fmt.Sprintf("%s exited with status %d", e.field, e.state.ExitCode())
}

// run runs the process until it ends or ctx is done, when its whole process group is ended. Whatever
// is true then, it returns soon. An error in which the process itself is to blame is an exitError.
func (p process) run(ctx context.Context, started func()) error {
	cmd, err := p.command(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", p.field, err)
	}
	var kill *time.Timer
	cmd.Cancel = func() error {
		kill = time.AfterFunc(grace, func() { signalGroup(cmd, syscall.SIGKILL) })
		signalGroup(cmd, syscall.SIGTERM)
		return nil
	}
	// The signal at our death is sent when the thread that started the process dies.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return p.explain(ctx, err)
	}
	if started != nil {
		started()
	}
	err = cmd.Wait()
	if kill != nil {
		kill.Stop()
		// Those that outlived their leader still hold the number of the group, so it is nobody else's.
		signalGroup(cmd, syscall.SIGKILL)
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", p.field, ctx.Err())
	case errors.As(err, &exit):
		return &exitError{field: p.field, state: exit.ProcessState}
	case errors.Is(err, exec.ErrWaitDelay):
		return nil // it succeeded, and left something running that has its output still open
	}
	return fmt.Errorf("%s: %w", p.field, err)
}

// command prepares the process. All it needs of the host is looked up now, not when the resource is
// opened: other resources may have brought it.
func (p process) command(ctx context.Context) (*exec.Cmd, error) {
	attr := &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(attr)
	env := baseEnv()
	if p.user != "" {
		if err := become(p.user, attr, env); err != nil {
			return nil, err
		}
	}
	for name, value := range p.env {
		env[name] = value
	}
	program, err := look(p.argv[0], env["PATH"])
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, p.argv[1:]...) // #nosec G204 -- what the graph declares
	cmd.Args[0] = p.argv[0]
	cmd.Dir = p.dir
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	slices.Sort(cmd.Env)
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	cmd.SysProcAttr = attr
	cmd.WaitDelay = pipeDelay
	return cmd, nil
}

// startable reports what keeps the process from being started now.
func (p process) startable(ctx context.Context) error {
	if info, err := os.Stat(p.dir); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no directory %s to run it in", p.dir)
	}
	_, err := p.command(ctx)
	return err
}

// explain says what kept a process from being started.
func (p process) explain(ctx context.Context, err error) error {
	if why := p.startable(ctx); why != nil {
		return fmt.Errorf("%s: %w", p.field, why)
	}
	if errors.Is(err, syscall.ENOEXEC) {
		return fmt.Errorf("%s: %s is no program for this host, nor a script with a #! line", p.field, p.argv[0])
	}
	return fmt.Errorf("%s: %w", p.field, err)
}

// signalGroup signals all processes of the command's group.
func signalGroup(cmd *exec.Cmd, signal syscall.Signal) {
	_ = syscall.Kill(-cmd.Process.Pid, signal) // there may be none left, which is what is wanted
}

// baseEnv returns the part of the agent's environment that is handed on. The rest may be anything
// that the login of that day brought along.
func baseEnv() map[string]string {
	env := map[string]string{"PATH": defaultPath}
	for _, name := range []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	return env
}

// look finds a program in path, the command's own and not the agent's.
func look(program, path string) (string, error) {
	if strings.Contains(program, "/") {
		return program, nil
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue // what lies in a working directory is not run by chance
		}
		found := filepath.Join(dir, program)
		if info, err := os.Stat(found); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return found, nil
		}
	}
	return "", fmt.Errorf("there is no program %s in %s: %w", program, path, fs.ErrNotExist)
}
