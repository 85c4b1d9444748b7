package exec

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spore/engine"
	"spore/engine/enginetest"
)

// open returns the resource of a spec, and its log.
func open(t *testing.T, spec Spec) (engine.Resource, *bytes.Buffer) {
	t.Helper()
	if err := spec.Validate(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r, err := Kind().Open("x", spec, engine.Env{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return r, &out
}

// converge does what a worker does, and says whether there was something to do.
func converge(ctx context.Context, r engine.Resource) (bool, error) {
	changes, err := r.Check(ctx)
	if err == nil && len(changes) > 0 {
		err = r.Apply(ctx, changes)
	}
	return len(changes) > 0, err
}

// runs fails unless the next check finds something to do, or nothing, and doing it succeeds.
func runs(t *testing.T, r engine.Resource, want bool) {
	t.Helper()
	if ran, err := converge(t.Context(), r); err != nil || ran != want {
		t.Errorf("ran: %v, %v, want %v", ran, err, want)
	}
}

func TestLaws(t *testing.T) {
	enginetest.TestKind(t, func(*testing.T) enginetest.Fixture {
		return enginetest.Fixture{
			Kind: Kind(), Name: "true",
			Spec: Spec{Args: []string{"x"}, Env: map[string]string{"A": "b"}, Timeout: engine.Duration(time.Minute)},
		}
	})
}

// A command that makes a directory, watched by one that is told when the directory goes away.
func made(t *testing.T, guard func(spec *Spec, path string)) enginetest.Fixture {
	told := newLifeline(t)
	path := filepath.Join(t.TempDir(), "made")
	spec := Spec{Cmd: "mkdir -p " + path, WatchCmd: "cat " + told.path}
	guard(&spec, path)
	return enginetest.Fixture{
		Kind: Kind(), Name: "make a directory", Spec: spec,
		Diverge: func() {
			_, err := told.both.WriteString("it is gone\n")
			if err := errors.Join(os.Remove(path), err); err != nil {
				t.Error(err)
			}
		},
		State: func() any {
			_, err := os.Lstat(path)
			return err == nil
		},
	}
}

func TestLawsWithCreates(t *testing.T) {
	enginetest.TestKind(t, func(t *testing.T) enginetest.Fixture {
		return made(t, func(spec *Spec, path string) { spec.Creates = path })
	})
}

func TestLawsWithIfCmd(t *testing.T) {
	enginetest.TestKind(t, func(t *testing.T) enginetest.Fixture {
		return made(t, func(spec *Spec, path string) { spec.IfCmd, spec.IfShell = "! test -d "+path, "/bin/sh" })
	})
}

func TestRunsOnceAndAtEveryRefresh(t *testing.T) {
	r, _ := open(t, Spec{Cmd: "true"})
	runs(t, r, true)
	runs(t, r, false)
	r.(engine.Refresher).Refresh()
	runs(t, r, true)
	runs(t, r, false)
}

func TestRefreshOnly(t *testing.T) {
	r, _ := open(t, Spec{Cmd: "true", RefreshOnly: true})
	runs(t, r, false)
	r.(engine.Refresher).Refresh()
	runs(t, r, true)
	runs(t, r, false)
}

func TestFailureIsTriedAgain(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	r, _ := open(t, Spec{Cmd: "test -e " + flag})
	r.(engine.Refresher).Refresh()
	for range 2 {
		if ran, err := converge(t.Context(), r); !ran || err == nil {
			t.Errorf("ran: %v, %v, want a failure", ran, err)
		}
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	runs(t, r, true)
	runs(t, r, false)
}

func TestGuards(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "there"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		spec Spec
		want bool
	}{
		{"it exists", Spec{Creates: filepath.Join(dir, "there")}, false},
		{"it is missing", Spec{Creates: filepath.Join(dir, "missing")}, true},
		{"relative to cwd", Spec{Creates: "there", Cwd: dir}, false},
		{"ifcmd succeeds", Spec{IfCmd: "test -d there", Cwd: dir}, true},
		{"ifcmd fails", Spec{IfCmd: "test -f there", Cwd: dir}, false},
		{"ifcmd in a shell", Spec{IfCmd: "exit $X", IfShell: "sh", Env: map[string]string{"X": "4"}}, false},
		{"both agree", Spec{IfCmd: "true", Creates: "/missing"}, true},
		{"ifcmd disagrees", Spec{IfCmd: "false", Creates: "/missing"}, false},
		{"creates disagrees", Spec{IfCmd: "true", Creates: "/"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.spec.Cmd = "true"
			r, _ := open(t, c.spec)
			runs(t, r, c.want)
			runs(t, r, c.want) // nothing has changed, so the guards say the same
			r.(engine.Refresher).Refresh()
			runs(t, r, c.want) // they guard against notifications too
		})
	}
}

func TestRefreshThatTheGuardsRefuseIsSettled(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	r, _ := open(t, Spec{Cmd: "true", RefreshOnly: true, IfCmd: "test -e " + flag})
	r.(engine.Refresher).Refresh()
	runs(t, r, false)
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	runs(t, r, false)
	r.(engine.Refresher).Refresh()
	runs(t, r, true)
}

func TestIfCmdThatCannotAnswer(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{IfCmd: "no-such-program"}, "ifcmd: there is no program no-such-program in "},
		{Spec{IfCmd: "kill -9 $$", IfShell: "/bin/sh"}, "ifcmd was ended by signal 9 (killed)"},
		{Spec{IfCmd: "sleep 1000", Timeout: engine.Duration(100 * time.Millisecond)}, "ifcmd did not end within 100ms"},
	} {
		c.spec.Cmd = "true"
		r, _ := open(t, c.spec)
		if ran, err := converge(t.Context(), r); ran || err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: ran: %v, %v, want %s", c.spec.IfCmd, ran, err, c.want)
		}
	}
}

func TestFailures(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "garbage"), []byte("\x00\x01"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		spec Spec
		want string
	}{
		{"status", Spec{Cmd: "echo out; echo err >&2; exit 3", Shell: "/bin/sh"}, "cmd exited with status 3: out\nerr"},
		{"silent", Spec{Cmd: "false"}, "cmd exited with status 1"},
		{"signal", Spec{Cmd: "kill -9 $$", Shell: "sh"}, "cmd was ended by signal 9 (killed)"},
		{"no program", Spec{Cmd: "no-such-program x"}, "cmd: there is no program no-such-program in " + os.Getenv("PATH") + ": file does not exist"},
		{"no file", Spec{Cmd: "/no/such/program"}, "cmd: fork/exec /no/such/program: no such file or directory"},
		{"no shell", Spec{Cmd: "true", Shell: "/no/such/sh"}, "cmd: fork/exec /no/such/sh: no such file or directory"},
		{"no directory", Spec{Cmd: "true", Cwd: "/no/such/dir"}, "cmd: there is no directory /no/such/dir to run it in"},
		{"no format", Spec{Cmd: "./garbage", Cwd: dir}, "cmd: ./garbage is no program for this host, nor a script with a #! line"},
		{"no user", Spec{Cmd: "true", User: "no-such-user"}, "cmd: there is no user no-such-user on this host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := open(t, c.spec)
			if _, err := converge(t.Context(), r); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// A dry run has no other way to tell that the command would fail.
func TestCheckTellsWhatTheCommandLacks(t *testing.T) {
	for want, spec := range map[string]Spec{
		"run": {Cmd: "true"},
		"run (as things are: there is no directory /none to run it in)":                         {Cmd: "true", Cwd: "/none"},
		"run (as things are: there is no program no-such-program in /bin: file does not exist)": {Cmd: "no-such-program", Env: map[string]string{"PATH": "/bin"}},
	} {
		r, _ := open(t, spec)
		if changes, err := r.Check(t.Context()); err != nil || len(changes) != 1 || changes[0].To != want {
			t.Errorf("got %v, %v, want %q", changes, err, want)
		}
	}
}

func TestOutputIsLoggedAtDebug(t *testing.T) {
	r, out := open(t, Spec{Cmd: "echo one; echo two >&2", Shell: "/bin/sh"})
	runs(t, r, true)
	if want := `level=DEBUG msg="cmd has run" output="one\ntwo"`; !strings.Contains(out.String(), want) {
		t.Errorf("got %q, want %s", out, want)
	}
}

func TestOutputInAnErrorIsBounded(t *testing.T) {
	r, _ := open(t, Spec{Cmd: "seq 1000000; exit 1", Shell: "/bin/sh"})
	_, err := converge(t.Context(), r)
	if err == nil || len(err.Error()) > 1000 || !strings.HasSuffix(err.Error(), "\n999999\n1000000") {
		t.Errorf("got %.2000v", err)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		field string
		spec  Spec
	}{
		{"cmd", Spec{}},
		{"cmd", Spec{Cmd: "echo 'a"}},
		{"cmd", Spec{Cmd: "a\x00b", Shell: "sh"}},
		{"args", Spec{Cmd: "a", Shell: "sh", Args: []string{"b"}}},
		{"args", Spec{Cmd: "a", Args: []string{"\x00"}}},
		{"ifcmd", Spec{Cmd: "a", IfCmd: `"`}},
		{"watchcmd", Spec{Cmd: "a", WatchCmd: `\`}},
		{"watchcmd", Spec{Cmd: "a", WatchCmd: "b", RefreshOnly: true}},
		{"cwd", Spec{Cmd: "a", Cwd: "b"}},
		{"env", Spec{Cmd: "a", Env: map[string]string{"a=b": ""}}},
		{"timeout", Spec{Cmd: "a", Timeout: -1}},
	} {
		field, ok := errors.AsType[*engine.FieldError](c.spec.Validate())
		if !ok || field.Field != c.field {
			t.Errorf("%+v: got %v, want a mistake in %s", c.spec, field, c.field)
		}
	}
	if err := (Spec{Cmd: "echo 'a", Shell: "sh"}).Validate(); err != nil {
		t.Errorf("a shell may see to its quotes itself: %v", err)
	}
}
