package remote

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"spore/internal/sshtest"
	"spore/remote/dial"
)

func TestSession(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	j := r.start(r.options())
	j.waitLine("agent: store says got from the host", 1)
	probed := waitEvent[Probed](j, 1)
	if probed.OS != runtime.GOOS || probed.Arch != runtime.GOARCH || probed.Cached || probed.Bytes != r.binary.Size {
		t.Errorf("probed %+v", probed)
	}
	if got := waitEvent[Copied](j, 1); got.Bytes != r.binary.Size {
		t.Errorf("copied %d bytes, want %d", got.Bytes, r.binary.Size)
	}
	if got, want := waitEvent[Forwarded](j, 1).Store, "unix://"+filepath.Join(probed.Run, "store.sock"); got != want {
		t.Errorf("the store is at %s, want %s", got, want)
	}
	checkRunDir(t, probed.Run)
	res := j.stopped()
	if res.ExitCode != 0 || res.BytesSent < r.binary.Size || res.Restarts != 0 || res.Reconnects != 0 {
		t.Errorf("result %+v", res)
	}
	if got := waitEvent[Stopped](j, 1); got.Killed {
		t.Error("the agent was killed")
	}
	r.wantOnlyCache()
}

func checkRunDir(t *testing.T, run string) {
	t.Helper()
	for name, mode := range map[string]os.FileMode{
		".": os.ModeDir | 0o700, "..": os.ModeDir | 0o700, "graph.yaml": 0o600, "tree": os.ModeDir | 0o700,
		"tree/deep/file": 0o600, "store.sock": os.ModeSocket | 0o600,
	} {
		info, err := os.Lstat(filepath.Join(run, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode() != mode {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), mode)
		}
	}
}

func TestSecondRunIsCached(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	for i, cached := range []bool{false, true} {
		j := r.start(r.options())
		waitEvent[Started](j, 1)
		if got := waitEvent[Probed](j, 1).Cached; got != cached {
			t.Errorf("run %d: cached is %v", i, got)
		}
		if res := j.stopped(); cached == (res.BytesSent >= r.binary.Size) {
			t.Errorf("run %d sent %d bytes; the binary has %d", i, res.BytesSent, r.binary.Size)
		}
		r.wantOnlyCache()
	}
}

func TestPoisonedCache(t *testing.T) {
	poisons := map[string]func(t *testing.T, name string){
		"content": func(t *testing.T, name string) { must(t, os.WriteFile(name, []byte("#!/bin/sh\nevil\n"), 0o700)) },
		"mode":    func(t *testing.T, name string) { must(t, os.Chmod(name, 0o722)) },
		"link": func(t *testing.T, name string) {
			must(t, os.Rename(name, name+".real"))
			must(t, os.Symlink(name+".real", name))
		},
		"directory": func(t *testing.T, name string) {
			must(t, os.Remove(name))
			must(t, os.Mkdir(name, 0o700))
		},
	}
	for name, poison := range poisons {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sshtest.Options{})
			j := r.start(r.options())
			waitEvent[Started](j, 1)
			j.stopped()
			poison(t, filepath.Join(r.prefix, "cache", r.binary.SHA256, "spore"))
			j = r.start(r.options())
			waitEvent[Started](j, 1)
			if waitEvent[Probed](j, 1).Cached || !saw[Warning](j) {
				t.Errorf("the poisoned cache was used:\n%s", j.story())
			}
			j.stopped()
		})
	}
}

func TestNoCacheLeavesNothing(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	o := r.options()
	o.NoCache = true
	j := r.start(o)
	waitEvent[Started](j, 1)
	j.stopped()
	r.wantNothing()
}

func TestTmpPrefix(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	o := r.options()
	o.TmpPrefix = filepath.Join(r.home, "elsewhere", "deep")
	j := r.start(o)
	waitEvent[Started](j, 1)
	if got := filepath.Dir(waitEvent[Probed](j, 1).Run); got != o.TmpPrefix {
		t.Errorf("the run directory lies in %s, want %s", got, o.TmpPrefix)
	}
	j.stopped()
	r.wantOnlyCache()
	if _, err := os.Lstat(filepath.Dir(o.TmpPrefix)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory made for run directories is still there: %v", err)
	}
}

func TestChattyHost(t *testing.T) {
	r := newRig(t, sshtest.Options{Greeting: "Welcome to the host!\nagent not this\nno newline: "})
	j := r.start(r.options())
	j.waitLine("agent: store says got from the host", 1)
	j.stopped()
	if slices.ContainsFunc(j.lines, func(l string) bool { return l == "" || l[:6] != "agent:" }) {
		t.Errorf("the greeting was taken for output: %q", j.lines)
	}
	r.wantOnlyCache()
}

func TestOtherLoginShells(t *testing.T) {
	for _, shell := range shells(t) {
		r := newRig(t, sshtest.Options{Shell: shell})
		j := r.start(r.options("a 'quoted' \\ word!", "$HOME"))
		j.waitLine("agent: store says got from the host", 1)
		j.stopped()
		r.wantOnlyCache()
	}
}

// Why a host starts nothing it often says on standard error.
func TestLoginShellThatRefuses(t *testing.T) {
	shell := filepath.Join(t.TempDir(), "shell")
	must(t, os.WriteFile(shell, []byte("#!/bin/sh\necho welcome\necho 'Password change required' >&2\nexit 1\n"), 0o700))
	r := newRig(t, sshtest.Options{Shell: shell})
	j := r.start(r.options())
	if _, err := j.end(); err == nil || !strings.Contains(err.Error(), "Password change required") {
		t.Errorf("Run says %v", err)
	}
}

func TestTwoSessionsUploadTheSame(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	var jobs []*job
	for range 4 {
		jobs = append(jobs, r.start(r.options()))
	}
	for _, j := range jobs {
		j.waitLine("agent: store says got from the host", 1)
	}
	for _, j := range jobs {
		j.stopped()
	}
	r.wantOnlyCache()
}

func TestFinalExit(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	j := r.start(r.options("final"))
	res, err := j.end()
	if err != nil || res.ExitCode != 2 {
		t.Errorf("result %+v, %v", res, err)
	}
	j.waitLine("agent: store says got from the host", 1)
	r.wantOnlyCache()
}

func TestAgentThatDoesNotStart(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	j := r.start(r.options("die"))
	_, err := j.end()
	var died *AgentError
	var step *StepError
	if !errors.As(err, &died) || !errors.As(err, &step) || step.Step != StepStart {
		t.Fatalf("error %v", err)
	}
	if died.Code != 3 || !slices.Equal(died.Stderr, []string{"cannot live"}) {
		t.Errorf("error %+v", died)
	}
	r.wantOnlyCache()
}

func TestConnectRetriesWhatIsTemporary(t *testing.T) {
	r := newRig(t, sshtest.Options{RefuseFirst: 2})
	j := r.start(r.options())
	waitEvent[Started](j, 1)
	if got := waitEvent[Connecting](j, 3).Attempt; got != 3 {
		t.Errorf("attempt %d, want 3", got)
	}
	j.stopped()
}

func TestConnectGivesUp(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	r.target.Password = dial.Secret("wrong")
	_, err := r.start(r.options()).end()
	var step *StepError
	if !errors.As(err, &step) || step.Step != StepConnect {
		t.Errorf("error %v", err)
	}
	if n := r.server.Connections(); n != 1 {
		t.Errorf("%d connections were made, want 1", n)
	}
}

func TestOneSessionHost(t *testing.T) {
	r := newRig(t, sshtest.Options{MaxSessions: 1})
	j := r.start(r.options())
	j.waitLine("agent: store says got from the host", 1)
	must(t, j.Push(t.Context(), text("graph.yaml", "new")))
	if n := r.server.Connections(); n != 2 {
		t.Errorf("%d connections were made, want 2", n)
	}
	j.stopped()
	r.wantOnlyCache()
}

// Where nothing is forwarded the way to the store takes a session as well.
func TestOneSessionAndNoForwarding(t *testing.T) {
	r := newRig(t, sshtest.Options{MaxSessions: 1, NoTCPForward: true, NoSFTP: true})
	j := r.start(r.options())
	j.waitLine("agent: store says got from the host", 1)
	must(t, j.Push(t.Context(), text("graph.yaml", "new")))
	r.server.DropAll()
	waitEvent[Reattached](j, 1)
	j.stopped()
	r.wantOnlyCache()
}

// TestTidyAgent has an agent promise to take its directory away, which is believed where nothing else
// is left to do.
func TestTidyAgent(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	runs := filepath.Join(r.prefix, "run-*")
	for _, run := range []struct {
		name  string
		flags []string
		left  int
	}{
		{"lies, and directories were made", nil, 0}, {"lies", nil, 1}, {"tells the truth", []string{"tidy"}, 0},
	} {
		o := r.options(run.flags...)
		o.Tidy = true
		j := r.start(o)
		waitEvent[Started](j, 1)
		j.stopped()
		if left, _ := filepath.Glob(runs); len(left) != run.left {
			t.Errorf("an agent that %s leaves %q", run.name, left)
		}
	}
	r.wantOnlyCache()
}
