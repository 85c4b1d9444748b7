package fleet

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"spore/engine"
	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/view"
	"spore/remote"
)

// crew makes a fleet of the hosts that the graphs name, none of them begun.
func crew(t *testing.T, graphs ...string) (*fleet, *records) {
	t.Helper()
	var manifests []*manifest.Manifest
	for _, g := range graphs {
		manifests = append(manifests, load(t, "g.yaml", g))
	}
	hosts, err := Hosts(manifests, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	told := &records{}
	return newFleet(Options{Hosts: hosts, Kinds: kinds(t), Log: view.NewLogger(told, slog.LevelInfo), Sink: told, Orphan: time.Minute, Owner: "ann@laptop"}), told
}

func TestGrants(t *testing.T) {
	f, _ := crew(t, `remote: a
resources:
  file:
  - name: "@@shared"
    path: /x
  kv:
  - name: own
    value: "1"
  - name: "@@offered"
    key: deep/key
    value: "2"
`, `remote: b
collect:
- kind: kv
- kind: file
  pattern: /srv/
`, `remote: c
`)
	want := map[string]etcd.Grants{
		"a": {Exports: []string{"file", "kv"}, Keys: []string{"own"}},
		"b": {Collects: []string{"file", "kv"}, Keys: []string{"deep/key"}},
		"c": {},
	}
	if !reflect.DeepEqual(f.grants, want) {
		t.Errorf("granted %+v, want %+v", f.grants, want)
	}
}

func TestCompare(t *testing.T) {
	file := func(name, digest string, mode os.FileMode) manifest.File {
		return manifest.File{Name: name, Digest: digest, Mode: mode}
	}
	has := map[string]manifest.File{
		"same":    file("same", "1", 0o644),
		"text":    file("text", "1", 0o644),
		"mode":    file("mode", "1", 0o644),
		"gone":    file("gone", "1", 0o644),
		"becomes": file("becomes", "1", 0o644),
	}
	d := compare(has, []manifest.File{
		file("same", "1", 0o644), file("text", "2", 0o644), file("mode", "1", 0o600),
		file("becomes", "", os.ModeDir|0o755), file("new", "1", 0o644),
	})
	var changed []string
	for _, f := range d.changed {
		changed = append(changed, f.Name)
	}
	if want := []string{"text", "mode", "becomes", "new"}; !slices.Equal(changed, want) {
		t.Errorf("to be copied: %v, want %v", changed, want)
	}
	if !slices.Equal(d.other, []string{"graph/becomes"}) || !slices.Equal(d.gone, []string{"graph/gone"}) {
		t.Errorf("to be removed: %v first, %v last", d.other, d.gone)
	}
	if len(has) != 5 {
		t.Error("what the host has was changed by looking at it")
	}
}

// A fleet has converged when each host that is still with it says so, of all there is.
func TestConverged(t *testing.T) {
	f, _ := crew(t, "remote: [a, b]\n")
	a, b := f.members[0], f.members[1]
	settled := etcd.HostState{Graph: 5, HasReport: true, Report: etcd.Report{Settled: true, Graph: 5, Processed: 6}}
	f.state = etcd.Fleet{Hosts: map[string]etcd.HostState{"a": settled, "b": settled}, LastData: 6, Seen: 7}
	is := func(want bool, when string) {
		t.Helper()
		if f.converged() != want {
			t.Errorf("converged is %v when %s", !want, when)
		}
	}
	is(false, "no agent runs yet")
	a.linked, b.linked = true, true
	is(true, "all report so")
	b.linked = false
	is(false, "a connection is lost")
	b.linked, b.behind = true, true
	is(false, "an edit has yet to reach a host")
	b.behind = false
	f.written(8)
	is(false, "the store has not told of the last graph")
	f.state.Seen = 8
	is(true, "it has")
	f.state.LastData = 8
	is(false, "there is data that hosts have not seen")
	f.state.LastData = 6
	b.linked, b.ended = false, true
	is(true, "a host is lost: it is reported as such")
	a.ended = true
	is(false, "no host is left")
}

func TestRecap(t *testing.T) {
	f, _ := crew(t, "remote: a\n")
	m := f.members[0]
	done := etcd.HostState{Graph: 5, HasReport: true, Report: etcd.Report{Settled: true, Graph: 5, Counts: engine.Counts{Total: 1, OK: 1}}}
	for _, c := range []struct {
		state, problem string
		change         func(s *etcd.HostState)
		err            error
	}{
		{view.StateConverged, "", func(*etcd.HostState) {}, nil},
		{view.StateInterrupted, "", func(s *etcd.HostState) { s.Graph = 6 }, nil},
		{view.StateInterrupted, "", func(s *etcd.HostState) { s.Report.Settled = false }, nil},
		{view.StateInterrupted, "", func(s *etcd.HostState) { s.HasReport = false }, nil},
		{view.StateFailed, "exec/x: no", func(s *etcd.HostState) {
			s.Report.Counts.Failed, s.Report.Failures = 1, []string{"exec/x: no", "exec/y: no"}
		}, nil},
		{view.StateUnreachable, "gone", func(*etcd.HostState) {}, os.ErrDeadlineExceeded},
	} {
		s := done
		c.change(&s)
		m.final, m.err = s, c.err
		if c.err != nil {
			c.problem = c.err.Error()
		}
		if r := m.recap(); r.State != c.state || r.Error != c.problem {
			t.Errorf("%+v is %s %q, want %s %q", s, r.State, r.Error, c.state, c.problem)
		}
	}
}

// What the first agent has changed is not forgotten when the next, which changed nothing, tells of itself.
func TestRecapCountsChangesOfEveryAgent(t *testing.T) {
	f, _ := crew(t, "remote: a\n")
	m := f.members[0]
	for _, changed := range []int{1, 3, 0} {
		s := etcd.HostState{HasReport: true, Report: etcd.Report{Counts: engine.Counts{Total: 4, Changed: changed}}}
		m.observe(s)
		m.keep(s)
	}
	if r := m.recap(); r.Changed != 3 {
		t.Errorf("%d resources were changed, want 3", r.Changed)
	}
}

// Of hosts that have been left to themselves the store alone tells, also of those that were at home in it
// before.
func TestRecapOfWhatWasLeft(t *testing.T) {
	f, _ := crew(t, "remote: [a, b]\n")
	f.Detach = &Detach{Settled: map[string]*manifest.Manifest{"c": nil, "d": nil}}
	done := etcd.HostState{Graph: 5, HasReport: true, Report: etcd.Report{Settled: true, Graph: 5}}
	f.state.Hosts = map[string]etcd.HostState{"c": done, "d": {Graph: 5}}
	f.members[0].final, f.members[1].final = done, etcd.HostState{Graph: 5}
	if n := len(f.recaps()); n != 2 {
		t.Errorf("of %d hosts it is told before they are left, want 2", n)
	}
	f.left = true
	got := map[string]string{}
	for _, r := range f.recaps() {
		got[r.Host] = r.State
	}
	want := map[string]string{"a": view.StateConverged, "b": view.StateUnreachable, "c": view.StateConverged, "d": view.StateUnreachable}
	if !maps.Equal(got, want) {
		t.Errorf("they are %v, want %v", got, want)
	}
}

// One that is silent is not waited for: it may be gone for long.
func TestSettledWithoutTheSilent(t *testing.T) {
	f, _ := crew(t, "remote: a\n")
	d := &detachment{fleet: f, Detach: &Detach{Settled: map[string]*manifest.Manifest{"b": nil}}, hosts: []*joining{{member: f.members[0]}}}
	done := etcd.HostState{Graph: 5, HasReport: true, Report: etcd.Report{Settled: true, Graph: 5, Processed: 9}}
	gone := done
	gone.HasReport = false
	for _, c := range []struct {
		b    etcd.HostState
		data int64
		want bool
	}{{done, 9, true}, {gone, 9, true}, {done, 10, false}} {
		f.state = etcd.Fleet{Hosts: map[string]etcd.HostState{"a": done, "b": c.b}, LastData: c.data}
		if d.settled() != c.want {
			t.Errorf("with b %+v, and data of %d: settled is %t", c.b, c.data, !c.want)
		}
	}
}

// The host that the store was handed to serves it already when the command is run again: it cannot listen
// at ports that it has taken itself, and has the address that it was given first.
func TestReachLeavesMembersAlone(t *testing.T) {
	members := []etcd.Member{{Host: "a", Peer: "10.0.0.1:7480", Client: "https://10.0.0.1:7481"}, {Host: "new"}}
	a, b := &joining{member: &member{name: "a"}, peer: "192.0.2.1:7480"}, &joining{member: &member{name: "b"}, peer: "10.0.0.2:7480"}
	if !a.serves(members) || a.peer != "10.0.0.1:7480" || b.serves(members) || b.peer != "10.0.0.2:7480" {
		t.Errorf("a is at %s, b at %s", a.peer, b.peer)
	}
	if got := endpoints(members); len(got) != 1 || got[0].Host != "a" || got[0].Address != "10.0.0.1:7481" || got[0].Token != "" {
		t.Errorf("the others try %v", got)
	}
}

// What an agent says is not trusted.
func TestOutput(t *testing.T) {
	f, told := crew(t, "remote: a\n")
	m := f.members[0]
	for _, line := range []string{
		`{"format":"spore-events/1","type":"start"}`,
		`{"seq":1,"type":"log","host":"another","message":"one"}`,
		`{"seq":2,"type":"log","level":"DEBUG","message":"too fine"}`,
		`{"seq":1,"type":"log","message":"one again"}`,
		`{"seq":3,"type":"converged","message":"not its to say"}`,
		`{"seq":4,"type":"recap","recap":{"state":"converged"}}`,
		"no record\x1b[2J",
		`{"seq":5,"type":"end","message":"busy","exit":75}`,
	} {
		m.output(line)
	}
	want := "a: one \na: agent wrote what is no record no record"
	if got := told.text(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 2 || strings.Contains(got, "\x1b") {
		t.Errorf("told\n%q, want\n%q", got, want)
	}
	if m.lastWords() != "busy" {
		t.Errorf("its last words are %q", m.lastWords())
	}
	if got := strings.Join(m.attach(remote.Paths{Binary: "/c/spore", Run: "/r"}), " "); got != "/c/spore attach --since 5 /r" {
		t.Errorf("it is found again by %s", got)
	}
}

func TestAgentCommandLine(t *testing.T) {
	f, _ := crew(t, "remote: root@a\n")
	f.Noop = true
	got := strings.Join(f.members[0].args(remote.Paths{Binary: "/c/spore", Run: "/p/run-1", Store: "unix:///p/run-1/store.sock"}), " ")
	want := "/c/spore run --hostname a --no-server --seeds unix:///p/run-1/store.sock --file /p/run-1/graph/g.yaml --depth 1" +
		" --dir /p/run-1 --credentials - --orphan-timeout 1m0s --owner ann@laptop --json --log-level INFO --noop"
	if got != want {
		t.Errorf("started as\n%s, want\n%s", got, want)
	}
}

func TestPathNamesTheHost(t *testing.T) {
	f, _ := crew(t, "remote: '[::1]:22'\n")
	if got := f.members[0].path("/x/%h/y"); strings.Contains(got, "%h") || strings.Count(got, "/") != 3 {
		t.Errorf("the path is %s", got)
	}
}

func TestBinaries(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache) // where a Mac has its caches
	find, err := Binaries("v1")
	if err != nil {
		t.Fatal(err)
	}
	own, err := find(runtime.GOOS, runtime.GOARCH)
	if err != nil || len(own.SHA256) != 64 || own.Size == 0 {
		t.Errorf("the own binary is %+v (%v)", own, err)
	}
	_, err = find("plan9", "mips")
	if err == nil || !strings.Contains(err.Error(), "GOOS=plan9 GOARCH=mips go build") ||
		!strings.Contains(err.Error(), filepath.Join(filepath.Dir(own.Path), "spore-plan9-mips")) {
		t.Errorf("for a system that there is no binary for: %v", err)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "spore", "bin", "v1")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(own.Path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"text":    {[]byte("#!/bin/sh\n"), "it is no spore"},
		"another": {self, "it is no spore, but spore/internal/fleet.test"},
	} {
		if err := os.WriteFile(filepath.Join(dir, "spore-"+name+"-arm64"), c.text, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := find(name, "arm64"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// What a host calls itself leads nowhere but to the binaries.
func TestBinaryOfATraveller(t *testing.T) {
	find, err := Binaries("v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{{"linux", "x/../../../../etc/passwd"}, {"..", "arm"}, {"linux", ""}, {"linux", "a b"}} {
		if _, err := find(c[0], c[1]); err == nil || !strings.Contains(err.Error(), "there can be no binary") {
			t.Errorf("%q: %v", c, err)
		}
	}
}

// An agent that has said why it cannot go on is not started again.
func TestFinal(t *testing.T) {
	f, _ := crew(t, "remote: a\n")
	m := f.members[0]
	if m.isFinal(1) || m.isFinal(3) || m.isFinal(137) || !m.isFinal(0) || !m.isFinal(75) {
		t.Error("which ends are final is wrong")
	}
	m.output(`{"seq":1,"type":"end","message":"no space left","exit":1}`)
	if !m.isFinal(1) || m.isFinal(3) {
		t.Error("an agent that cannot go on is started again")
	}
}
