package remote

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"spore/internal/sshtest"
)

func kill9(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	must(t, err)
	must(t, syscall.Kill(n, syscall.SIGKILL))
}

// dead reports whether no process of that id is left, but perhaps for a zombie.
func dead(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestDropFindsTheSameAgent(t *testing.T) {
	forwards := map[string]sshtest.Options{
		"socket": {},
		"port":   {NoStreamLocal: true},
		"bridge": {NoTCPForward: true},
	}
	for name, opts := range forwards {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, opts)
			j := r.start(r.options())
			j.waitLine("agent: store says got from the host", 1)
			for drop := 1; drop <= 2; drop++ {
				r.server.DropAll()
				waitEvent[Dropped](j, drop)
				waitEvent[Reattached](j, drop)
			}
			if a, b := waitEvent[Forwarded](j, 1), waitEvent[Forwarded](j, 3); a != b {
				t.Errorf("the store moved from %s to %s", a.Store, b.Store)
			}
			pids := j.pids()
			if len(pids) != 3 || pids[0] != pids[2] {
				t.Errorf("the agents were %q", pids)
			}
			res := j.stopped()
			if res.ExitCode != 0 || res.Reconnects != 2 || res.Restarts != 0 {
				t.Errorf("result %+v", res)
			}
			r.wantOnlyCache()
		})
	}
}

func TestStoreByEachWay(t *testing.T) {
	for prefix, opts := range map[string]sshtest.Options{
		"unix:///":   {NoTCPForward: true},
		"127.0.0.1:": {NoStreamLocal: true},
	} {
		r := newRig(t, opts)
		j := r.start(r.options())
		j.waitLine("agent: store says got from the host", 1)
		if got := waitEvent[Forwarded](j, 1).Store; !strings.HasPrefix(got, prefix) {
			t.Errorf("the store is at %s, want %s…", got, prefix)
		}
		j.stopped()
		r.wantOnlyCache()
	}
}

func TestNoWayToTheStore(t *testing.T) {
	r := newRig(t, sshtest.Options{NoTCPForward: true})
	o := r.options()
	o.Bridge = nil
	_, err := r.start(o).end()
	var step *StepError
	if !errors.As(err, &step) || step.Step != StepForward {
		t.Errorf("error %v", err)
	}
}

func TestKilledAgentIsRestarted(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	j := r.start(r.options())
	for n := 1; n <= 2; n++ {
		j.waitLine("agent: store says got from the host", n)
		kill9(t, j.pids()[n-1])
		e := waitEvent[Restarted](j, n)
		var died *AgentError
		if !errors.As(e.Err, &died) || died.Signal != "KILL" {
			t.Errorf("restarted because of %v", e.Err)
		}
	}
	j.waitLine("agent: store says got from the host", 3)
	if res := j.stopped(); res.Restarts != 2 || res.Reconnects != 0 {
		t.Errorf("result %+v", res)
	}
	r.wantOnlyCache()
}

func TestOnceMeansOnce(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	o := r.options()
	o.Once = true
	j := r.start(o)
	waitEvent[Started](j, 1)
	kill9(t, j.pids()[0])
	_, err := j.end()
	var died *AgentError
	if !errors.As(err, &died) || died.Signal != "KILL" {
		t.Errorf("error %v", err)
	}
	r.wantOnlyCache()
}

func TestAgentThatDiedMeanwhileIsReplaced(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	j := r.start(r.options())
	j.waitLine("agent: store says got from the host", 1)
	r.server.Refuse(true)
	r.server.DropAll()
	waitEvent[Dropped](j, 1)
	kill9(t, j.pids()[0])
	if !eventually(func() bool { return dead(j.pids()[0]) }) {
		t.Fatal("the agent survived kill -9")
	}
	r.server.Refuse(false)
	waitEvent[Restarted](j, 1)
	j.waitLine("agent: store says got from the host", 2)
	if res := j.stopped(); res.Restarts != 1 || res.Reconnects != 1 {
		t.Errorf("result %+v", res)
	}
	r.wantOnlyCache()
}

func TestAgentThatDiesWhileAttachedIsReplaced(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	j := r.start(r.options())
	j.waitLine("agent: store says got from the host", 1)
	r.server.DropAll()
	waitEvent[Reattached](j, 1)
	kill9(t, j.pids()[0])
	waitEvent[Restarted](j, 1)
	j.waitLine("agent: store says got from the host", 2)
	if res := j.stopped(); res.Restarts != 1 || res.Reconnects != 1 {
		t.Errorf("result %+v", res)
	}
	r.wantOnlyCache()
}

func TestLostRunDirectoryIsMadeAgain(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	j := r.start(r.options())
	j.waitLine("agent: store says got from the host", 1)
	must(t, j.Push(t.Context(), text("graph.yaml", "pushed")))
	run := waitEvent[Probed](j, 1).Run
	must(t, os.RemoveAll(run))
	kill9(t, j.pids()[0])
	waitEvent[Restarted](j, 1)
	j.waitLine("agent: store says got from the host", 2)
	wantFile(t, filepath.Join(waitEvent[Probed](j, 2).Run, "graph.yaml"), "pushed")
	j.stopped()
	r.wantOnlyCache()
}

func TestWithoutAttachTheAgentIsReplaced(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	o := r.options()
	o.Attach = nil
	j := r.start(o)
	j.waitLine("agent: store says got from the host", 1)
	r.server.DropAll()
	waitEvent[Restarted](j, 1)
	j.waitLine("agent: store says got from the host", 2)
	if !dead(j.pids()[0]) {
		t.Error("the first agent still lives")
	}
	j.stopped()
	r.wantOnlyCache()
}

func TestStopKillsWhoDoesNotListen(t *testing.T) {
	for name, meanwhile := range map[string]func(*rig, *job){
		"started": func(*rig, *job) {},
		"attached": func(r *rig, j *job) {
			r.server.DropAll()
			waitEvent[Reattached](j, 1)
		},
		"its number lost": func(r *rig, _ *job) {
			files, err := filepath.Glob(filepath.Join(r.prefix, "run-*", "pid"))
			if err != nil || len(files) != 1 {
				r.t.Fatalf("files %q, %v", files, err)
			}
			must(r.t, os.Remove(files[0]))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sshtest.Options{})
			j := r.start(r.options("deaf"))
			j.waitLine("agent: store says got from the host", 1)
			meanwhile(r, j)
			ctx, cancel := context.WithCancel(context.Background())
			go func() {
				j.waitLine("agent: deaf", 1)
				cancel()
			}()
			j.Stop(ctx)
			res, err := j.end()
			if err != nil || res.ExitCode != -1 || !waitEvent[Stopped](j, 1).Killed {
				t.Errorf("result %+v, %v", res, err)
			}
			if !dead(j.pids()[0]) {
				t.Error("the agent still lives")
			}
			r.wantOnlyCache()
		})
	}
}

// Whoever ends an agent by force ends with it all that its commands have started.
func TestKilledAgentLeavesNothingRunning(t *testing.T) {
	ways := map[string]func(*rig, *job){
		"hung": func(_ *rig, j *job) { j.cancel() },
		"stopped": func(_ *rig, j *job) {
			pid, err := strconv.Atoi(j.pids()[0])
			must(t, err)
			must(t, syscall.Kill(pid, syscall.SIGSTOP))
			j.cancel()
		},
		"replaced": func(r *rig, j *job) {
			r.server.DropAll()
			waitEvent[Restarted](j, 1)
		},
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sshtest.Options{})
			o := r.options("busy")
			if name == "replaced" {
				o.Attach = nil
			}
			j := r.start(o)
			j.waitLine("agent: store says got from the host", 1)
			j.mu.Lock()
			at := slices.IndexFunc(j.lines, func(l string) bool { return strings.HasPrefix(l, "agent: runs ") })
			runs := strings.TrimPrefix(j.lines[at], "agent: runs ")
			j.mu.Unlock()
			end(r, j)
			if !eventually(func() bool { return dead(runs) }) {
				t.Error("what it ran goes on")
			}
			j.cancel()
			if _, err := j.end(); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			r.wantOnlyCache()
		})
	}
}

func TestStopWhileTheLinkIsDown(t *testing.T) {
	t.Run("for good", func(t *testing.T) {
		r := newRig(t, sshtest.Options{})
		j := r.start(r.options())
		waitEvent[Started](j, 1)
		r.server.Refuse(true)
		r.server.DropAll()
		waitEvent[Dropped](j, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		j.Stop(ctx)
		if _, err := j.end(); !errors.Is(err, ErrNotCleaned) || !saw[Warning](j) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("for a while", func(t *testing.T) {
		r := newRig(t, sshtest.Options{})
		j := r.start(r.options())
		waitEvent[Started](j, 1)
		r.server.Refuse(true)
		r.server.DropAll()
		waitEvent[Connecting](j, 3)
		go func() {
			<-j.stop
			r.server.Refuse(false)
		}()
		if res := j.stopped(); res.ExitCode != 0 {
			t.Errorf("result %+v", res)
		}
		r.wantOnlyCache()
	})
}

func TestStopBeforeRun(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	s := New(r.target, r.dialer, r.options())
	stopped := make(chan struct{})
	go func() {
		s.Stop(t.Context())
		close(stopped)
	}()
	<-s.stop
	if _, err := s.Run(t.Context()); err != nil {
		t.Error(err)
	}
	<-stopped
	if n := r.server.Connections(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func wantFile(t *testing.T, name, content string) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil || string(got) != content {
		t.Errorf("%s holds %q, want %q (%v)", name, got, content, err)
	}
}

func TestPushAndRemove(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	j := r.start(r.options())
	waitEvent[Started](j, 1)
	run := waitEvent[Probed](j, 1).Run
	ctx := t.Context()
	must(t, j.Push(ctx, text("graph.yaml", "second"), text("new/file", "new")))
	wantFile(t, filepath.Join(run, "graph.yaml"), "second")
	wantFile(t, filepath.Join(run, "new/file"), "new")
	must(t, j.Remove(ctx, "new/file", "never/was"))
	if got := listing(t, filepath.Join(run, "new")); len(got) > 0 {
		t.Errorf("%q is left", got)
	}
	for _, bad := range []string{"", "/abs", "../up", "a/../../b", "pid", "."} {
		if err := j.Push(ctx, text(bad, "")); err == nil {
			t.Errorf("Push(%q) gave no error", bad)
		}
	}
	short := text("short", "abc")
	short.Size = 5
	if err := j.Push(ctx, short); err == nil {
		t.Error("a file that ended early gave no error")
	}
	if _, err := os.Lstat(filepath.Join(run, "short")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that ended early is there: %v", err)
	}
	j.stopped()
	if err := j.Push(ctx, text("late", "")); !errors.Is(err, ErrEnded) {
		t.Errorf("Push after the end: %v", err)
	}
	r.wantOnlyCache()
}

func TestPushWaitsForTheLink(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	j := r.start(r.options())
	waitEvent[Started](j, 1)
	r.server.Refuse(true)
	r.server.DropAll()
	waitEvent[Dropped](j, 1)
	pushed := make(chan error)
	go func() { pushed <- j.Push(t.Context(), text("graph.yaml", "later")) }()
	waitEvent[Connecting](j, 3)
	r.server.Refuse(false)
	must(t, <-pushed)
	wantFile(t, filepath.Join(waitEvent[Probed](j, 1).Run, "graph.yaml"), "later")
	j.stopped()
}
