package resident

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSupervisorRestartsTheAgent(t *testing.T) {
	g := newGround(t)
	g.install()
	g.start()
	first := g.agent()
	g.must(syscall.Kill(first, syscall.SIGKILL))
	g.await("another agent runs", func() bool {
		next := g.agent()
		return next > 0 && next != first
	})
	text, err := os.ReadFile(filepath.Join(g.Dir(), "agent.ended"))
	if err != nil || !strings.Contains(string(text), "signal: killed") {
		t.Errorf("it left word of %q, %v", text, err)
	}
}

func TestStopEndsAgentAndSupervisor(t *testing.T) {
	g := newGround(t)
	g.install()
	g.start()
	for range 2 { // twice is no error
		g.must(g.services.Stop(t.Context(), AgentService))
		if running, err := g.services.Running(t.Context(), AgentService); running || err != nil {
			t.Fatalf("running: %v, %v", running, err)
		}
		if is, err := held(filepath.Join(g.Dir(), "lock")); is || err != nil {
			t.Fatalf("the agent has not ended (%v)", err)
		}
	}
}

func TestThereIsOneSupervisor(t *testing.T) {
	g := newGround(t)
	g.install()
	g.start()
	pid, err := holder(g.supervisor(AgentService))
	g.must(err)
	g.must(g.services.Start(t.Context(), AgentService)) // it runs: nothing to do
	if again, err := holder(g.supervisor(AgentService)); again != pid || err != nil {
		t.Errorf("supervisor was %d and is %d, %v", pid, again, err)
	}
	err = Supervise(t.Context(), g.Layout, AgentService, func() { t.Error("a second supervisor has begun") })
	if err == nil || !strings.Contains(err.Error(), "supervised already") {
		t.Errorf("the error is %v", err)
	}
}

// However the supervisor ends, no agent stays behind that nobody looks after.
func TestAgentEndsWithItsSupervisor(t *testing.T) {
	g := newGround(t)
	g.install()
	g.start()
	pid, err := holder(g.supervisor(AgentService))
	g.must(err)
	g.must(syscall.Kill(pid, syscall.SIGKILL))
	g.await("the agent ends", func() bool {
		is, err := held(filepath.Join(g.Dir(), "lock"))
		return !is && err == nil
	})
}

// A store that took itself away is not to be run again, until there is one.
func TestSupervisorWaitsWhileThereIsNothingToDo(t *testing.T) {
	g := newGround(t)
	g.install()
	g.member(Membership{})
	g.must(g.services.Start(t.Context(), StoreService))
	g.await("the store runs", g.storeRuns)
	aside := g.Root + ".aside"
	g.must(os.Rename(g.Store(), aside))
	pid, err := holder(g.supervisor(StoreService))
	g.must(err)
	g.must(g.signalChildren(pid))
	g.await("the store ends", func() bool { return !g.storeRuns() })
	g.must(os.Rename(aside, g.Store()))
	g.await("the store runs again", g.storeRuns)
	if now, err := holder(g.supervisor(StoreService)); now != pid || err != nil {
		t.Errorf("the supervisor was %d and is %d, %v", pid, now, err)
	}
}

func TestStartSaysWhyItFails(t *testing.T) {
	g := newGround(t)
	g.install()
	g.must(os.Remove(g.Binary()))
	if err := start(t.Context(), g.Layout, g.services); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
	g.must(os.WriteFile(g.Binary(), []byte("#!/bin/sh\necho no room >&2\nexit 1\n"), 0o700))
	if err := start(t.Context(), g.Layout, g.services); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("the error is %v", err)
	}
}

func TestSupervisorKeepsTheEndOnly(t *testing.T) {
	var last tail
	for range 1000 {
		_, _ = last.Write([]byte("0123456789"))
	}
	_, _ = last.Write([]byte("the end"))
	if s := last.String(); len(s) != tailSize || !strings.HasSuffix(s, "the end") {
		t.Errorf("it kept %d bytes", len(s))
	}
}
