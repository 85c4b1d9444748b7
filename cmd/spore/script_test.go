package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a script waits for anything: it bounds what hangs and measures nothing.
const patience = time.Minute

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"spore":    main,
		"withcode": withCode,
	})
}

// TestScripts runs the scripts of testdata/script: each is one command line after another, through
// the real main.
func TestScripts(t *testing.T) {
	build := sync.OnceValues(func() (string, error) { return buildSpore(t) })
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("HOME", home)
			env.Setenv("TERM", "xterm")
			env.Setenv("SSH_AUTH_SOCK", "")
			return os.Mkdir(home, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"await":    await,
			"rewrite":  rewrite,
			"subst":    subst,
			"cluster":  knowCluster,
			"sshhosts": func(ts *testscript.TestScript, neg bool, args []string) { sshHosts(ts, build, args) },
		},
	})
}

// buildSpore makes the binary that scripts bring to hosts: there it is called by its own name, and
// not by that of a test.
func buildSpore(t *testing.T) (string, error) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, "spore"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build spore: %w\n%s", err, out)
	}
	return dir, nil
}

// exits CODE program [args...] runs a program, whose exit code has to be CODE.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code is %d, want %d", got, want)
	}
}

// await [!] FILE REGEXP waits until the file matches, or does not.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] await FILE REGEXP")
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		text, _ := os.ReadFile(ts.MkAbs(args[0]))
		if pattern.Match(text) != neg {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("waited in vain for %q in %s, which holds:\n%s", args[1], args[0], text)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// rewrite FILE OLD NEW saves the file with NEW in place of OLD, as an editor does: under another name
// first.
func rewrite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: rewrite FILE OLD NEW")
	}
	path := ts.MkAbs(args[0])
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(path+"~", []byte(strings.ReplaceAll(text, args[1], args[2])), 0o600))
	ts.Check(os.Rename(path+"~", path))
}

// subst FILE... puts the values of $WORK and $HOSTS into the files.
func subst(ts *testscript.TestScript, _ bool, files []string) {
	for _, file := range files {
		text := os.Expand(ts.ReadFile(file), func(name string) string {
			if name == "WORK" || name == "HOSTS" {
				return ts.Getenv(name)
			}
			return "$" + name
		})
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

// withCode is a program for scripts: withcode FILE program [args...] runs the program in the
// background of a script, hands signals on to it, and leaves its exit code in FILE.
func withCode() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	_ = cmd.Wait()
	if err := os.WriteFile(os.Args[1], fmt.Appendln(nil, cmd.ProcessState.ExitCode()), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
