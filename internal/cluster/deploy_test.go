package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"spore/engine"
	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/secret"
)

// A site is a cluster's store with hosts in it.
type site struct {
	Press
	t      *testing.T
	record Record
	server *etcd.Server
	dir    string
}

// newSite starts a store with these hosts, each with the graph motd. None is up.
func newSite(t *testing.T, hosts ...string) *site {
	t.Helper()
	s := &site{t: t, record: sample(t, "home"), dir: t.TempDir()}
	s.server = startStore(t, s.record)
	admin, err := s.server.Authority().Admin()
	if err != nil {
		t.Fatal(err)
	}
	store, err := etcd.Open(t.Context(), etcd.Options{
		Endpoints: []string{s.server.Endpoint()}, Credentials: admin, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s.Press = newPress(t, store)
	first := map[string]*manifest.Manifest{}
	for _, host := range hosts {
		s.admit(host)
		first[host] = s.parse(t, s.dir, motd)
	}
	if _, err := s.Publish(bounded(t), first, nil, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) admit(host string) etcd.Credentials {
	s.t.Helper()
	c, err := s.Store.Admit(bounded(s.t), s.server.Authority(), host, etcd.Grants{Resident: true})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// up connects a host, which tells for whom to encrypt what it is to read.
func (s *site) up(host, recipient string) *etcd.Client {
	s.t.Helper()
	c, err := etcd.Dial(bounded(s.t), etcd.Options{
		Endpoints: []string{s.server.Endpoint()}, Credentials: s.admit(host), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	if err := c.PutFacts(bounded(s.t), etcd.Facts{OS: "linux", Resident: true, Recipient: recipient}); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// report has a host say how it stands, with the graph that it has now.
func (s *site) report(host string, c *etcd.Client, counts engine.Counts) {
	s.t.Helper()
	_, revision, err := s.Store.Graph(bounded(s.t), host)
	if err == nil {
		err = c.Report(bounded(s.t), etcd.Report{Settled: true, Graph: revision, Processed: revision + 1000, Counts: counts})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// plan plans the same graph for all hosts.
func (s *site) plan(text string, hosts ...string) *Plan {
	s.t.Helper()
	next := map[string]*manifest.Manifest{}
	for _, host := range hosts {
		next[host] = s.parse(s.t, s.dir, text)
	}
	plan, err := s.Plan(bounded(s.t), next)
	if err != nil {
		s.t.Fatal(err)
	}
	return plan
}

func TestDeploy(t *testing.T) {
	s := newSite(t, "a", "b", "c")
	s.report("a", s.up("a", ""), engine.Counts{})
	plan := s.plan(strings.Replace(motd, "hello", "there", 1), "a", "b")
	if len(plan.Hosts) != 2 || plan.Hosts[0].Down || !plan.Hosts[1].Down || plan.Writes() != 2 {
		t.Errorf("the plan is %+v", plan.Hosts)
	}
	_, before, err := s.Store.Revisions(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	revisions, err := s.Deploy(bounded(t), plan)
	if err != nil {
		t.Fatal(err)
	}
	graphs, after, err := s.Store.Revisions(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(graphs["b"].Text, "there") || after["b"] != revisions["b"] || after["c"] != before["c"] {
		t.Errorf("the graphs are %+v at %v, were at %v, written at %v", graphs, after, before, revisions)
	}
	if again := s.plan(strings.Replace(motd, "hello", "there", 1), "a", "b"); !again.Empty() {
		t.Errorf("there is something left: %+v", again.Hosts)
	}
	if revisions, err := s.Deploy(bounded(t), s.plan(graphs["b"].Text, "a")); err != nil || len(revisions) != 0 {
		t.Errorf("%v, %v", revisions, err)
	}
}

func TestDeployToHostsOfNoCluster(t *testing.T) {
	s := newSite(t, "a", "b")
	m := s.parse(t, s.dir, motd)
	_, err := s.Plan(bounded(t), map[string]*manifest.Manifest{"a": m, "x": m, "y": m})
	const want = "x, y are no hosts of it, which has a, b: spore join --remote has further hosts join"
	var unknown *UnknownHostsError
	if !errors.As(err, &unknown) || err.Error() != want {
		t.Errorf("the error is %v", err)
	}
}

func TestDeployOfOneWhoCameSecond(t *testing.T) {
	s := newSite(t, "a", "b")
	first := s.plan(strings.Replace(motd, "hello", "first", 1), "a")
	second := s.plan(strings.Replace(motd, "hello", "second", 1), "b") // its rights depend on that of a
	if _, err := s.Deploy(bounded(t), first); err != nil {
		t.Fatal(err)
	}
	_, before, err := s.Store.Revisions(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Deploy(bounded(t), second); !errors.Is(err, etcd.ErrChanged) {
		t.Errorf("the error is %v", err)
	}
	if _, after, err := s.Store.Revisions(bounded(t)); err != nil || !maps.Equal(before, after) {
		t.Errorf("something was written: %v instead of %v, %v", after, before, err)
	}
}

func TestDeploySealsSecretsForEachHost(t *testing.T) {
	s := newSite(t, "a", "b", "c")
	identities, recipients := map[string]string{}, map[string]string{}
	for _, host := range []string{"a", "b"} {
		var err error
		if identities[host], recipients[host], err = secret.NewIdentity(); err != nil {
			t.Fatal(err)
		}
	}
	s.up("a", recipients["a"])
	// That of b, which is down, was noted when it joined.
	if err := s.Store.PutRecipient(bounded(t), "b", recipients["b"]); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(motd, "hello", "secret://env/A", 1)
	if _, err := s.Deploy(bounded(t), s.plan(text, "a", "b")); err != nil {
		t.Fatal(err)
	}
	graphs, err := s.Store.Graphs(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	for host, identity := range identities {
		plain, err := secret.Decrypt(identity, graphs[host].Secrets)
		var secrets map[string]string
		if err == nil {
			err = json.Unmarshal(plain, &secrets)
		}
		if err != nil || secrets["secret://env/A"] != "s3cret-A" {
			t.Errorf("%s: %v, %v", host, secrets, err)
		}
		if text, _ := json.Marshal(graphs[host]); strings.Contains(string(text), "s3cret") {
			t.Errorf("%s: the store holds it in clear", host)
		}
	}
	if kept, err := s.Store.Recipients(bounded(t)); err != nil || kept["a"] != recipients["a"] {
		t.Errorf("that of a is not kept for when it is down: %v, %v", kept, err)
	}

	_, err = s.Deploy(bounded(t), s.plan(text, "a", "c"))
	if err == nil || !strings.Contains(err.Error(), "secrets of c: it has not said yet") {
		t.Errorf("the error is %v", err)
	}
	if after, err := s.Store.Graphs(bounded(t)); err != nil || string(after["a"].Secrets) != string(graphs["a"].Secrets) {
		t.Errorf("something was written, %v", err)
	}
}

// TestDeployChangesRights has b collect what it did not before, and a key go that it had.
func TestDeployChangesRights(t *testing.T) {
	s := newSite(t, "a", "b")
	b := s.up("b", "")
	const exporting = "resources:\n  file:\n  - name: '@@x'\n    path: /srv/x\n    content: from a\n"
	if _, err := s.Deploy(bounded(t), s.plan(exporting, "a")); err != nil {
		t.Fatal(err)
	}
	if err := b.Collect(bounded(t), []string{"file"}, func([]engine.Export) {}); err == nil {
		t.Fatal("it may collect without a graph that says so")
	}
	if _, err := s.Deploy(bounded(t), s.plan(motd+"collect:\n- kind: file\n  pattern: /srv/\n", "b")); err != nil {
		t.Fatal(err)
	}
	a := s.up("a", "")
	if err := a.Export(bounded(t), []engine.Export{{Kind: "file", Name: "x", Spec: json.RawMessage(`{}`)}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	got := false
	err := b.Collect(ctx, []string{"file"}, func(exports []engine.Export) {
		if len(exports) == 1 && exports[0].Host == "a" {
			got = true
			cancel()
		}
	})
	if err != nil || !got {
		t.Errorf("it did not collect, %v", err)
	}
}

func TestAwait(t *testing.T) {
	s := newSite(t, "a", "b", "c", "down")
	clients := map[string]*etcd.Client{}
	for _, host := range []string{"a", "b", "c"} {
		clients[host] = s.up(host, "")
		s.report(host, clients[host], engine.Counts{OK: 3, Total: 3})
	}
	revisions, err := s.Deploy(bounded(t), s.plan(strings.Replace(motd, "hello", "there", 1), "a", "b", "down"))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan Landing, 10)
	type end struct {
		last []Landing
		err  error
	}
	ended := make(chan end, 1)
	ctx := bounded(t)
	go func() {
		last, err := s.Await(ctx, revisions, func(l Landing) { told <- l })
		ended <- end{last, err}
	}()
	s.report("a", clients["a"], engine.Counts{OK: 3, Total: 3})
	if l := <-told; l.Host != "a" || l.State != Converged {
		t.Errorf("told of %+v", l)
	}
	select {
	case e := <-ended:
		t.Fatalf("it has not waited for b: %+v", e)
	default:
	}
	s.report("b", clients["b"], engine.Counts{OK: 2, Failed: 1, Total: 3})
	if l := <-told; l.Host != "b" || l.State != Failed {
		t.Errorf("told of %+v", l)
	}
	e := <-ended
	states := map[string]State{}
	for _, l := range e.last {
		states[l.Host] = l.State
	}
	want := map[string]State{"a": Converged, "b": Failed, "down": Silent}
	if e.err != nil || !maps.Equal(states, want) {
		t.Errorf("%v, %v; want %v", states, e.err, want)
	}
}

func TestAwaitEnds(t *testing.T) {
	s := newSite(t, "a")
	s.report("a", s.up("a", ""), engine.Counts{})
	revisions, err := s.Deploy(bounded(t), s.plan(strings.Replace(motd, "hello", "there", 1), "a"))
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("long enough")
	ctx, cancel := context.WithCancelCause(bounded(t))
	cancel(why)
	last, err := s.Await(ctx, revisions, func(Landing) { t.Error("it has not converged") })
	if !errors.Is(err, why) || slices.ContainsFunc(last, func(l Landing) bool { return l.State != Working }) {
		t.Errorf("%v, %v", last, err)
	}
}
