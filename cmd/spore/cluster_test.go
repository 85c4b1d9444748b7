package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"

	"spore/etcd"
	"spore/internal/cluster"
)

// knowCluster NAME HOST... has a cluster of these hosts be known, as if it had been left behind.
func knowCluster(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: cluster NAME HOST...")
	}
	authority, err := etcd.NewAuthority()
	ts.Check(err)
	key, err := authority.Key()
	ts.Check(err)
	record := cluster.Record{
		Cluster: etcd.Cluster{ID: "id-of-" + args[0], Name: args[0], Founded: time.Now(), Ideal: 3},
		CA:      authority.Certificate(), CAKey: key, PeerPort: defaultPort, Made: time.Now(), Complete: true,
	}
	for _, name := range args[1:] {
		record.Put(cluster.HostRecord{Name: name, Address: name})
	}
	dir := filepath.Join(ts.Getenv("HOME"), ".local", "share", "spore", "clusters")
	ts.Check(cluster.Records{Dir: dir}.Save(record))
}

func statusOf(hosts ...string) cluster.Status {
	f := etcd.Fleet{Hosts: map[string]etcd.HostState{}}
	for _, name := range hosts {
		f.Hosts[name] = etcd.HostState{HasReport: true, Report: etcd.Report{Settled: true}}
	}
	return cluster.NewStatus("home", f, nil)
}

// What is painted over something else leaves nothing of it, and the terminal as it was.
func TestPainter(t *testing.T) {
	var out strings.Builder
	columns, lines := 0, 0
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	p := &painter{out: &out, size: func() (int, int) { return columns, lines }, now: func() time.Time { return noon }}
	if err := p.paint(statusOf("a", "b")); err != nil {
		t.Fatal(err)
	}
	first := out.String()
	if !strings.HasPrefix(first, "\x1b[?25l\x1b[?7l\x1b[2J\x1b[HHOST") || strings.Count(first, "\x1b[K\r\n") != 6 || !strings.Contains(first, "\n12:00:00; ^C ends it\x1b[K") || !strings.HasSuffix(first, "\x1b[J") {
		t.Errorf("painted %q", first)
	}
	out.Reset()
	columns, lines = 20, 4
	if err := p.paint(statusOf("a", "b")); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "\x1b[HHOST") || strings.Count(got, "\n") != 3 || !strings.Contains(got, "\n… and 3 more lines;\x1b[K") {
		t.Errorf("on a small terminal: %q", got)
	}
	out.Reset()
	p.end()
	if out.String() != "\x1b[?7h\x1b[?25h" {
		t.Errorf("in the end: %q", out.String())
	}
}

func TestStatusInObjects(t *testing.T) {
	var out strings.Builder
	show := objects(&out)
	for _, s := range []cluster.Status{statusOf("a"), statusOf("a"), statusOf("a", "b")} {
		if err := show(s); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 2 || !strings.HasPrefix(out.String(), `{"cluster":"home",`) {
		t.Errorf("got\n%s", &out)
	}
}

func TestStatusInLines(t *testing.T) {
	var out strings.Builder
	show := lines(&out)
	for _, s := range []cluster.Status{statusOf("a"), statusOf("a"), statusOf("a", "b")} {
		if err := show(s); err != nil {
			t.Fatal(err)
		}
	}
	var first strings.Builder
	if err := statusOf("a").Write(&first, false); err != nil {
		t.Fatal(err)
	}
	rest, ok := strings.CutPrefix(out.String(), first.String())
	if !ok || strings.Count(rest, "\n") != 1 || !strings.Contains(rest, " host b: converged, 0 ok") {
		t.Errorf("got\n%s", &out)
	}
}

// Who interrupts what changes something is told what came of it.
func TestHalted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if err := halted(ctx, errors.New("no room"), "run it again"); codeOf(err) != exitFailed || err.Error() != "no room" {
		t.Errorf("%d, %v", codeOf(err), err)
	}
	cancel()
	if err := halted(ctx, context.Canceled, "run it again"); codeOf(err) != exitInterrupted || err.Error() != "interrupted: run it again" {
		t.Errorf("%d, %v", codeOf(err), err)
	}
	if err := halted(ctx, nil, "run it again"); err != nil {
		t.Errorf("it was done, and is %v", err)
	}
}

// A host joins the way that the cluster was made, where no flag says otherwise.
func TestJoinAsFounded(t *testing.T) {
	authority, err := etcd.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	key, err := authority.Key()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	kept, err := records()
	if err != nil {
		t.Fatal(err)
	}
	err = kept.Save(cluster.Record{
		Cluster: etcd.Cluster{ID: "id", Name: "home"}, CA: authority.Certificate(), CAKey: key, PeerPort: 9000,
		SSHConfig: "/home/me/ssh_config", Become: cluster.Become{Method: "sudo", User: "ops"},
	})
	if err != nil {
		t.Fatal(err)
	}
	type way struct {
		cluster, config, user string
		method                method
		port                  int
	}
	for line, want := range map[string]way{
		"": {"home", "/home/me/ssh_config", "ops", "sudo", 9000},
		"--ssh-config=none --peer-port=7 --become=doas": {"home", "none", "root", "doas", 7},
	} {
		f, fl := &runFlags{}, pflag.NewFlagSet("join", pflag.ContinueOnError)
		f.registerSSH(fl)
		fl.IntVar(&f.detach.peerPort, "peer-port", defaultPort, "")
		err := fl.Parse(strings.Fields(line))
		if err == nil {
			err = f.asFounded(fl)
		}
		got := way{f.detach.cluster, f.sshConfig, f.become.user, f.become.method, f.detach.peerPort}
		if err != nil || got != want {
			t.Errorf("%q: %+v (%v), want %+v", line, got, err, want)
		}
	}
}

func TestStatusCode(t *testing.T) {
	bad := func(change func(*cluster.HostStatus)) cluster.Status {
		s := statusOf("a", "b")
		change(&s.Hosts[0])
		return s
	}
	for name, tt := range map[string]struct {
		status cluster.Status
		want   int
	}{
		"converged": {statusOf("a"), exitOK},
		"working":   {bad(func(h *cluster.HostStatus) { h.State = cluster.Working }), exitOK},
		"failed":    {bad(func(h *cluster.HostStatus) { h.State = cluster.Failed }), exitFailed},
		"silent":    {bad(func(h *cluster.HostStatus) { h.State = cluster.Silent }), exitUnreachable},
	} {
		if got := statusCode(tt.status); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}
