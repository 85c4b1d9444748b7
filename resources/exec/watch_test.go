package exec

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"spore/engine"
)

// watch runs the resource's Watch until the test ends; fired waits until it calls.
func watch(t *testing.T, r engine.Resource) (fired func(), stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	calls, done := make(chan struct{}, 100), make(chan error, 1)
	go func() { done <- r.Watch(ctx, func() { calls <- struct{}{} }) }()
	fired = func() {
		t.Helper()
		select {
		case <-calls:
		case err := <-done:
			t.Fatalf("watch ended: %v", err)
		case <-time.After(patience):
			t.Fatal("watch does not fire")
		}
	}
	stop = func() error {
		cancel()
		return <-done
	}
	return fired, stop
}

func TestEachLineOfWatchCmdRunsCmd(t *testing.T) {
	told := newLifeline(t)
	r, _ := open(t, Spec{Cmd: "true", WatchCmd: "cat " + told.path})
	fired, stop := watch(t, r)
	fired()
	runs(t, r, true)
	runs(t, r, false)
	for range 3 {
		if _, err := told.both.WriteString("again\n"); err != nil {
			t.Fatal(err)
		}
		fired()
		runs(t, r, true)
		runs(t, r, false)
	}
	if err := stop(); err != nil {
		t.Errorf("watch: %v", err)
	}
}

func TestLinePrintedWhileCmdRunsAsksForAnotherRun(t *testing.T) {
	told, life, hold := newLifeline(t), newLifeline(t), newLifeline(t)
	write := func(l *lifeline) {
		t.Helper()
		if _, err := l.both.WriteString("a line\n"); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := open(t, Spec{
		Cmd: fmt.Sprintf("echo begun >%s; read line <%s", life.path, hold.path), Shell: "/bin/sh",
		WatchCmd: "cat " + told.path,
	})
	fired, stop := watch(t, r)
	fired()
	applied := make(chan error, 1)
	go func() {
		_, err := converge(t.Context(), r)
		applied <- err
	}()
	life.says()
	write(told)
	fired()
	write(hold)
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	write(hold)
	runs(t, r, true)
	runs(t, r, false)
	if err := stop(); err != nil {
		t.Errorf("watch: %v", err)
	}
}

func TestWatchCmdThatEndsIsAnError(t *testing.T) {
	for script, want := range map[string]string{
		"echo line; exit 0":    "watchcmd ended, which it is not to do",
		"echo why >&2; exit 3": "watchcmd exited with status 3: why",
	} {
		r, _ := open(t, Spec{Cmd: "true", WatchCmd: script, WatchShell: "/bin/sh"})
		err := r.Watch(t.Context(), func() {})
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", script, err, want)
		}
	}
	r, _ := open(t, Spec{Cmd: "true", WatchCmd: "no-such-program"})
	if err := r.Watch(t.Context(), func() {}); err == nil || !strings.Contains(err.Error(), "no program no-such-program") {
		t.Errorf("got %v", err)
	}
}

func TestWatchCmdEndsWithTheWatch(t *testing.T) {
	life := newLifeline(t)
	r, _ := open(t, Spec{Cmd: "true", WatchCmd: fmt.Sprintf(endless["a child that ignores SIGTERM"], life.path), WatchShell: "sh"})
	_, stop := watch(t, r)
	life.says()
	if err := stop(); err != nil {
		t.Errorf("watch: %v", err)
	}
	life.gone()
}
