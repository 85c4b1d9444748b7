package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"spore/engine"
	"spore/internal/view"
)

// A process is a spore run that is watched through its JSON.
type process struct {
	s      *scene
	name   string // for messages
	cmd    *exec.Cmd
	stderr bytes.Buffer // to be read once it has ended
	ended  chan struct{}

	mu      sync.Mutex
	records []view.Record
	news    chan struct{} // closed and replaced at every record
	seen    int           // records that an await has passed
}

// start starts "spore run" with the lab's ssh_config and without a terminal.
func (s *scene) start(args ...string) *process {
	s.Helper()
	return s.launch(append([]string{"run", "--json", "--no-input", "-F", s.lab.SSHConfig()}, args...)...)
}

// launch starts the binary with these arguments.
func (s *scene) launch(args ...string) *process {
	s.Helper()
	p := &process{s: s, ended: make(chan struct{}), news: make(chan struct{})}
	p.cmd = s.command(args...)
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		s.Fatal(err)
	}
	p.name = fmt.Sprintf("spore %d", p.cmd.Process.Pid)
	go func() {
		defer close(p.ended)
		dec := json.NewDecoder(out)
		for {
			var r view.Record
			if dec.Decode(&r) != nil {
				break
			}
			p.hear(r)
		}
		_ = p.cmd.Wait()
	}()
	s.Cleanup(p.over)
	return p
}

// command is the binary in an environment of the scene's own, in a process group of its own.
func (s *scene) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.binary, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "TMPDIR=" + s.tmp, "USER=root"}
	cmd.Env = append(cmd.Env, s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func (p *process) hear(r view.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records = append(p.records, r)
	close(p.news)
	p.news = make(chan struct{})
}

// over sees to it that the process has ended, and nothing that it started lives on. It tells what
// was said, should the test have failed.
func (p *process) over() {
	group := -p.cmd.Process.Pid
	select {
	case <-p.ended:
		if syscall.Kill(group, 0) == nil {
			p.s.Errorf("%s: it has ended and left processes behind", p.name)
		}
	default:
		p.s.Errorf("%s: still running when the test ended", p.name)
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-p.ended
	if p.s.Failed() {
		p.s.Logf("%s %s\n%s", p.name, strings.Join(p.cmd.Args, " "), p.transcript())
	}
}

func (p *process) transcript() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, r := range p.records {
		if r.Type == view.Progress {
			continue
		}
		text, _ := json.Marshal(r)
		b.Write(append(text, '\n'))
	}
	return b.String() + p.stderr.String()
}

// await waits for a record that is as asked for, and goes on after it the next time.
func (p *process) await(what string, is func(view.Record) bool) view.Record {
	p.s.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		p.mu.Lock()
		for p.seen < len(p.records) {
			r := p.records[p.seen]
			p.seen++
			if is(r) {
				p.mu.Unlock()
				return r
			}
		}
		news := p.news
		p.mu.Unlock()
		select {
		case <-news:
		case <-p.ended:
			p.s.Fatalf("%s: ended without: %s", p.name, what)
		case <-late.C:
			p.s.Fatalf("%s: waited too long for: %s", p.name, what)
		}
	}
}

// converged waits until the run says that everything has converged.
func (p *process) converged() {
	p.s.Helper()
	p.await("converged", func(r view.Record) bool { return r.Type == view.Converged })
}

// says waits for a record of the host with these words in its message or its attributes.
func (p *process) says(host, words string) view.Record {
	p.s.Helper()
	return p.await(host+" says "+words, func(r view.Record) bool {
		return r.Host == host && strings.Contains(fmt.Sprint(r.Message, r.Attrs), words)
	})
}

// fails waits for a failure of the host's resource.
func (p *process) fails(host, resource string) view.Record {
	p.s.Helper()
	return p.await(resource+" failed", func(r view.Record) bool {
		return r.Host == host && r.Event != nil && r.Event.State == engine.Failed && r.Event.Resource.String() == resource
	})
}

// signal sends a signal, which is no error to a process that has ended meanwhile.
func (p *process) signal(sig os.Signal) {
	p.s.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.s.Fatalf("%s: %v", p.name, err)
	}
}

// wait waits for the end, which has to be with this exit code, and returns the hosts' recaps.
func (p *process) wait(code int) map[string]view.Recap {
	p.s.Helper()
	got, recaps := p.end()
	if got != code {
		p.s.Fatalf("%s: exit code %d, want %d", p.name, got, code)
	}
	return recaps
}

// end waits for the end and returns the exit code and the hosts' recaps.
func (p *process) end() (int, map[string]view.Recap) {
	p.s.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.s.Fatalf("%s: it does not end", p.name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	recaps := map[string]view.Recap{}
	for _, r := range p.records {
		if r.Type == view.Summary {
			recaps[r.Host] = *r.Recap
		}
	}
	return p.cmd.ProcessState.ExitCode(), recaps
}

// stop ends the run as ^C does.
func (p *process) stop() map[string]view.Recap {
	p.s.Helper()
	p.signal(syscall.SIGINT)
	return p.wait(130)
}

// quiet checks that an orderly run had nothing to complain of.
func (p *process) quiet() {
	p.s.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.records {
		if r.Type == view.Log && r.Level >= 4 || r.Type == view.Link && strings.Contains(r.Message, "lost") {
			p.s.Errorf("%s: in an orderly run, host %q says: %s %v", p.name, r.Host, r.Message, r.Attrs)
		}
	}
	if p.stderr.Len() > 0 {
		p.s.Errorf("%s: in an orderly run, on stderr: %s", p.name, &p.stderr)
	}
}

func state(t *testing.T, recaps map[string]view.Recap, host, want string) view.Recap {
	t.Helper()
	r, ok := recaps[host]
	if !ok {
		t.Fatalf("no recap of host %s", host)
	}
	if r.State != want {
		t.Errorf("host %s: %s (%s), want %s", host, r.State, r.Error, want)
	}
	return r
}
