package resident

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What runs a host is known by what that alone leaves in /run while it does.
func TestInit(t *testing.T) {
	tests := map[string]struct {
		left []string // in /run, and in /etc for the table
		want string
	}{
		"systemd":               {[]string{"systemd/system/", "initctl|"}, initSystemd},
		"openrc":                {[]string{"openrc/softlevel"}, initOpenRC},
		"openrc after sysvinit": {[]string{"openrc/softlevel", "initctl|", "inittab"}, initOpenRC},
		"sysvinit":              {[]string{"initctl|", "inittab"}, initSysvinit},
		"busybox":               {[]string{"inittab"}, ""},
		"no table":              {[]string{"initctl|"}, ""},
		"systemd was installed": {[]string{"systemd/", "initctl|", "inittab"}, initSysvinit},
		"a container":           {nil, ""},
	}
	programs := t.TempDir()
	for _, name := range []string{"systemctl", "rc-service", "rc-update", "supervise-daemon", "telinit"} {
		if err := os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", programs)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := Layout{Root: t.TempDir(), Etc: t.TempDir(), Run: t.TempDir()}
			for _, path := range tt.left {
				leave(t, l, path)
			}
			if got := l.init(); got != tt.want {
				t.Errorf("it is %q, want %q", got, tt.want)
			}
			_, own := l.Services().(supervisors)
			if want := tt.want != initSystemd; own != want {
				t.Errorf("services are %T", l.Services())
			}
			if got := (Layout{Root: l.Root, Etc: l.Etc}).init(); got != "" {
				t.Errorf("a layout without a place to look says %q", got)
			}
		})
	}
}

// leave makes a directory, a pipe, a table of init's, or a file.
func leave(t *testing.T, l Layout, path string) {
	t.Helper()
	at, dir := filepath.Join(l.Run, path), strings.HasSuffix(path, "/")
	err := os.MkdirAll(filepath.Dir(at), 0o755)
	switch pipe, is := strings.CutSuffix(at, "|"); {
	case err != nil:
	case dir:
		err = os.MkdirAll(at, 0o755)
	case is:
		err = unix.Mkfifo(pipe, 0o600)
	case path == "inittab":
		err = os.WriteFile(filepath.Join(l.Etc, path), nil, 0o644)
	default:
		err = os.WriteFile(at, nil, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A playInit does with the lines of an inittab what init does.
type playInit struct {
	*ground
	table string

	mu    sync.Mutex
	runs  map[string]*exec.Cmd // by line
	tasks sync.WaitGroup
}

func newPlayInit(t *testing.T, table string) *playInit {
	i, etc := &playInit{runs: make(map[string]*exec.Cmd)}, t.TempDir() // which goes last
	t.Cleanup(i.tasks.Wait)                                            // once the ground has had them end
	g := newGround(t)
	g.Etc = etc
	i.ground, i.table = g, filepath.Join(g.Etc, "inittab")
	g.must(os.WriteFile(i.table, []byte(table), 0o640))
	g.services = supervisors{g.Layout, sysvinit{g.Layout, i.telinit}}
	return i
}

func (i *playInit) telinit(_ context.Context, args ...string) (string, error) {
	if args[len(args)-1] != "q" {
		return "", errors.New("no such request")
	}
	i.read()
	return "", nil
}

// read starts what the table has to be respawned and does not run, and ends what it has no more.
func (i *playInit) read() {
	i.mu.Lock()
	defer i.mu.Unlock()
	text, err := os.ReadFile(i.table)
	if err != nil {
		i.Error(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, line := range lines {
		if fields := strings.SplitN(line, ":", 4); len(fields) == 4 && fields[2] == "respawn" && i.runs[line] == nil {
			cmd := exec.Command("/bin/sh", "-c", "exec "+fields[3])
			if err := cmd.Start(); err != nil {
				i.Error(err)
				continue
			}
			i.runs[line] = cmd
			i.tasks.Go(func() { i.reap(line, cmd) })
		}
	}
	for line, cmd := range i.runs {
		if !slices.Contains(lines, line) {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
}

// reap starts anew what has ended and is in the table still.
func (i *playInit) reap(line string, cmd *exec.Cmd) {
	_ = cmd.Wait()
	i.mu.Lock()
	delete(i.runs, line)
	i.mu.Unlock()
	i.read()
}

func TestSysvinitKeepsSupervisors(t *testing.T) {
	const before = "id:2:initdefault:\n# no end of line"
	i := newPlayInit(t, before)
	i.install()
	i.start()
	i.member(Membership{})
	i.must(i.services.Start(t.Context(), StoreService))
	i.await("the store runs", i.storeRuns)
	first, err := holder(i.supervisor(AgentService))
	i.must(err)
	i.must(syscall.Kill(first, syscall.SIGKILL))
	i.another(first)
	second, err := holder(i.supervisor(AgentService))
	i.must(err)
	i.must(i.services.Restart(t.Context(), AgentService))
	i.another(second)
	i.must(i.services.Start(t.Context(), AgentService)) // once more is no error
	if text, _ := os.ReadFile(i.table); strings.Count(string(text), " resident supervise ") != 2 {
		t.Errorf("the table is\n%s", text)
	}

	i.must(remove(t.Context(), i.Layout, i.services))
	text, err := os.ReadFile(i.table)
	if string(text) != before || err != nil {
		t.Errorf("what is left is %v\n%s", err, text)
	}
	if info, err := os.Stat(i.table); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the table is %v, %v", info.Mode(), err)
	}
	if i.storeRuns() || i.agent() > 0 {
		t.Error("something runs still")
	}
}

// another waits until an agent runs below another supervisor than the last.
func (i *playInit) another(last int) {
	i.Helper()
	i.await("another supervisor runs an agent", func() bool {
		now, err := holder(i.supervisor(AgentService))
		return err == nil && now > 0 && now != last && i.agent() > 0
	})
}

func TestOpenRCKeepsSupervisors(t *testing.T) {
	l := Layout{Root: "/srv/spore", Etc: t.TempDir()}
	var calls []string
	program := func(name string) func(context.Context, ...string) (string, error) {
		return func(_ context.Context, args ...string) (string, error) {
			calls = append(calls, name+" "+strings.Join(args, " "))
			if args[0] == "add" { // as often as one likes, unlike to delete
				_ = os.Symlink(filepath.Join(l.Etc, "init.d", args[1]), filepath.Join(l.Etc, "runlevels", args[2], args[1]))
			} else if args[0] == "delete" {
				return "", os.Remove(filepath.Join(l.Etc, "runlevels", args[2], args[1]))
			}
			return "", nil
		}
	}
	o := openrc{l, program("rc-service"), program("rc-update")}
	script := filepath.Join(l.Etc, "init.d/spore-agent")
	for _, dir := range []string{"init.d", "runlevels/default"} {
		if err := os.MkdirAll(filepath.Join(l.Etc, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []func(context.Context, string) error{o.enable, o.enable, o.start} {
		if err := step(t.Context(), AgentService); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(script)
	if err != nil || !strings.Contains(string(text), "\ncommand=\"/srv/spore/bin/spore\"\ncommand_args=\"resident supervise agent --root /srv/spore\"\n") ||
		!strings.Contains(string(text), "TERM/65/") {
		t.Errorf("the script is %v\n%s", err, text)
	}
	if out, err := exec.Command("/bin/sh", "-n", script).CombinedOutput(); err != nil {
		t.Errorf("it is no script: %v\n%s", err, out)
	}
	for range 2 { // the second goes on with a removal that was interrupted
		if err := o.disable(t.Context(), AgentService); err != nil {
			t.Fatal(err)
		}
		if text != nil {
			err = os.WriteFile(script, text, 0o600)
			text = nil
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(script); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the script is left (%v)", err)
	}
	want := []string{
		"rc-update add spore-agent default", "rc-update add spore-agent default", "rc-service spore-agent stop", "rc-service spore-agent start",
		"rc-service spore-agent stop", "rc-update delete spore-agent default", "rc-service spore-agent stop",
	}
	if !slices.Equal(calls, want) {
		t.Errorf("calls are %q, want %q", calls, want)
	}
}
