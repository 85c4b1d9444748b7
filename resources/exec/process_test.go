package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"spore/engine"
)

// Each script holds the pipe that $1 stands for, says that it is ready, and would never end.
var endless = map[string]string{
	"a child":                       `exec 3>%s; sleep 1000 & echo ready >&3; wait`,
	"a child that ignores SIGTERM":  `exec 3>%s; (trap "" TERM; echo ready >&3; sleep 1000) & wait`,
	"a leader that ignores SIGTERM": `exec 3>%s; trap "" TERM; echo ready >&3; while :; do sleep 1000; done`,
	"a stopped child":               `exec 3>%s; sh -c 'echo ready >&3; kill -STOP $$; sleep 1000' & wait`,
	"a child without the output":    `exec 3>%s; sleep 1000 >/dev/null 2>&1 & echo ready >&3; wait`,
}

func TestCancelEndsTheWholeGroup(t *testing.T) {
	for name, script := range endless {
		t.Run(name, func(t *testing.T) {
			life := newLifeline(t)
			r, _ := open(t, Spec{Cmd: fmt.Sprintf(script, life.path), Shell: "/bin/sh"})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			applied := make(chan error, 1)
			go func() {
				_, err := converge(ctx, r)
				applied <- err
			}()
			life.says()
			cancel()
			select {
			case err := <-applied:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want a cancellation", err)
				}
			case <-time.After(patience):
				t.Fatal("apply does not return")
			}
			life.gone()
			if changes, err := r.Check(t.Context()); err != nil || len(changes) == 0 {
				t.Errorf("a cancelled command counts as run: %v, %v", changes, err)
			}
		})
	}
}

func TestTimeoutEndsTheWholeGroup(t *testing.T) {
	for timeout := 200 * time.Millisecond; ; timeout *= 2 {
		life := newLifeline(t)
		r, _ := open(t, Spec{
			Cmd: fmt.Sprintf(`echo begun; exec 3>%s; sleep 1000 & wait`, life.path), Shell: "/bin/sh",
			Timeout: engine.Duration(timeout),
		})
		_, err := converge(t.Context(), r)
		life.gone()
		late := fmt.Sprintf("cmd did not end within %v", timeout)
		switch {
		case err != nil && err.Error() == late+": begun":
			return
		case err == nil || err.Error() != late || timeout > patience:
			t.Fatalf("got %v, want %s: begun", err, late)
		} // a shell that takes so long to say a word gets more time
	}
}

func TestDeadlineOfTheEngineIsKept(t *testing.T) {
	r, _ := open(t, Spec{Cmd: "sleep 1000", Timeout: engine.Duration(time.Hour)})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := converge(ctx, r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

func TestWhatRunsInTheBackgroundGoesOn(t *testing.T) {
	life := newLifeline(t)
	r, _ := open(t, Spec{Cmd: fmt.Sprintf(`exec 3>%s; sleep 1000 & echo $! >&3`, life.path), Shell: "/bin/sh"})
	runs(t, r, true) // the sleep holds the output open all the while
	pid, err := strconv.Atoi(life.says())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("it has ended: %v", err)
	}
	life.gone()
}

func TestEnvironment(t *testing.T) {
	t.Setenv("OF_THE_AGENT", "alone")
	t.Setenv("LANG", "C.UTF-8")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "own-program"), []byte("#!/bin/sh\npwd; /usr/bin/env; cat\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r, out := open(t, Spec{Cmd: "own-program", Cwd: dir, Env: map[string]string{"A": "1 2", "PATH": dir + ":/bin:/usr/bin"}})
	runs(t, r, true)
	lines := strings.Split(output(t, out.String()), "\n")
	if lines[0] != dir {
		t.Errorf("it ran in %s, want %s", lines[0], dir)
	}
	for _, want := range []string{"A=1 2", "LANG=C.UTF-8", "PATH=" + dir + ":/bin:/usr/bin"} {
		if !slices.Contains(lines, want) {
			t.Errorf("%s is missing in %q", want, lines)
		}
	}
	if strings.Contains(out.String(), "OF_THE_AGENT") {
		t.Error("the agent's environment is handed on")
	}
}

// output takes the command's output from the log.
func output(t *testing.T, log string) string {
	t.Helper()
	_, quoted, ok := strings.Cut(log, "output=")
	text, err := strconv.Unquote(strings.TrimSpace(quoted))
	if !ok || err != nil {
		t.Fatalf("no output in %q: %v", log, err)
	}
	return text
}

func TestArgsAreNotSplit(t *testing.T) {
	r, out := open(t, Spec{Cmd: "printf", Args: []string{`%s|`, "a b", "", "$HOME"}})
	runs(t, r, true)
	if want := `output="a b||$HOME|"`; !strings.Contains(out.String(), want) {
		t.Errorf("got %q, want %s", out, want)
	}
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		r, _ := open(t, Spec{Cmd: "true", User: "root"})
		if _, err := converge(t.Context(), r); err == nil || err.Error() != "cmd: only root can run it as root" {
			t.Errorf("got %v, want a refusal", err)
		}
		return
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	groups, err := nobody.GroupIds()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{nobody.Uid, nobody.Gid, strings.Join(groups, " "), nobody.HomeDir, "nobody", "nobody"}, " ")
	for _, name := range []string{"nobody", nobody.Uid} {
		r, out := open(t, Spec{Cmd: `echo "$(id -u) $(id -g) $(id -G) $HOME $USER $LOGNAME"`, Shell: "/bin/sh", User: name})
		runs(t, r, true)
		if got := output(t, out.String()); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestUserOneIsAlready(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	r, _ := open(t, Spec{Cmd: "true", User: me.Username})
	runs(t, r, true)
}
