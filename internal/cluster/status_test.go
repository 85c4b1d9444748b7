package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spore/engine"
	"spore/etcd"
)

// settled is a host that has done what graph 10 says, having seen all up to processed.
func settled(processed int64, c engine.Counts, failures ...string) etcd.HostState {
	return etcd.HostState{
		Graph: 10, HasReport: true,
		Report: etcd.Report{Settled: true, Graph: 10, Processed: processed, Counts: c, Failures: failures},
		Facts:  etcd.Facts{OS: "linux", Version: "v0.4.0", Digest: "1234567890abcdef", Resident: true},
	}
}

func with(h etcd.HostState, change func(*etcd.HostState)) etcd.HostState {
	change(&h)
	return h
}

var fine = engine.Counts{Total: 12, OK: 12, Changed: 3}

// statuses are how a cluster may stand, and what is shown of that.
var statuses = map[string]struct {
	hosts   map[string]etcd.HostState
	members []MemberStatus
	trouble string

	converged, failed, silent bool
	want                      string
}{
	"converged": {
		hosts: map[string]etcd.HostState{
			"a":   settled(20, fine),
			"web": with(settled(21, fine), func(h *etcd.HostState) { h.Report.Repaired = 7 }),
		},
		members: []MemberStatus{
			{Host: "web", Endpoint: "https://10.0.0.2:7481", Role: Voter, Asked: true, Version: "3.7.3", Size: 1 << 20},
			{Host: "a", Endpoint: "https://10.0.0.1:7481", Role: Leader, Asked: true, Version: "3.7.3", Size: 5 << 20},
		},
		converged: true,
		want: `
HOST  STATE      STORE   VERSION  BINARY    OK  FAILED  SKIPPED  REPAIRED  GRAPH
a     converged  leader  v0.4.0   12345678  12  0       0        0         up to date
web   converged  member  v0.4.0   12345678  12  0       0        7         up to date

MEMBER  ENDPOINT               ROLE    ETCD   SIZE     HEALTH
a       https://10.0.0.1:7481  leader  3.7.3  5.0 MiB  healthy
web     https://10.0.0.2:7481  member  3.7.3  1.0 MiB  healthy

home: 2 hosts (2 converged); 2 members, 2 healthy; through web
`,
	},
	"every trouble": {
		hosts: map[string]etcd.HostState{
			"behind":  with(settled(20, fine), func(h *etcd.HostState) { h.Graph = 15 }),
			"busy":    with(settled(20, engine.Counts{Total: 12, OK: 4}), func(h *etcd.HostState) { h.Report.Settled = false }),
			"late":    settled(19, fine),
			"bad":     settled(20, engine.Counts{Total: 4, OK: 1, Failed: 2, Skipped: 1}, "exec/x: no\x1b[2J\nmore of it", "file/y: "+strings.Repeat("é", 90)),
			"silent":  {Graph: 10, Facts: etcd.Facts{OS: "linux", Version: "v0.3.0"}},
			"unheard": {Graph: 10},
		},
		members: []MemberStatus{
			{Host: "bad", Endpoint: "https://[2001:db8::1]:7481", Role: Leader, Asked: true, Version: "3.7.3", Size: 1 << 20, Trouble: "alarm:NOSPACE "},
			{Host: "silent", Endpoint: "https://10.0.0.2:7481", Role: Voter, Asked: true, Trouble: "connect: refused\nby all"},
			{Host: "late", Endpoint: "https://10.0.0.3:7481", Role: Learner},
			{Role: Learner, Trouble: "it has never been started"},
		},
		failed: true, silent: true,
		want: `
HOST     STATE    STORE    VERSION  BINARY    OK  FAILED  SKIPPED  REPAIRED  GRAPH
bad      failed   leader   v0.4.0   12345678  1   2       1        0         up to date
behind   working  –        v0.4.0   12345678  12  0       0        0         behind
busy     working  –        v0.4.0   12345678  4   0       0        0         up to date
late     working  learner  v0.4.0   12345678  12  0       0        0         up to date
silent   silent   member   v0.3.0   –         –   –       –        –         –
unheard  silent   –        –        –         –   –       –        –         –

MEMBER           ENDPOINT                    ROLE     ETCD   SIZE     HEALTH
(never started)  –                           learner  –      –        it has never been started
bad              https://[2001:db8::1]:7481  leader   3.7.3  1.0 MiB  alarm:NOSPACE
late             https://10.0.0.3:7481       learner  –      –        asking
silent           https://10.0.0.2:7481       member   –      –        connect: refused …

home: 6 hosts (3 working, 1 failed, 2 silent); 4 members, 0 healthy; through web
bad  exec/x: no …
     file/y: ` + strings.Repeat("é", 72) + ` …
`,
	},
	"names of any width": {
		hosts: map[string]etcd.HostState{
			"東京.example": settled(20, fine),
			"e\u0301":    settled(20, engine.Counts{Total: 1, Failed: 1}, "x"),
			"evil\x1b[2J\u202e": with(settled(20, fine), func(h *etcd.HostState) {
				h.Facts.Version, h.Facts.Digest = "v\x1b]0;title\x07\nbad", "é\u009bé"
			}),
		},
		members: []MemberStatus{{Host: "東京.example", Endpoint: "https://10.0.0.1:7481", Role: Leader, Asked: true, Version: "3.7.3"}},
		failed:  true,
		want: `
HOST          STATE      STORE   VERSION  BINARY    OK  FAILED  SKIPPED  REPAIRED  GRAPH
evil          converged  –       v bad    é é       12  0       0        0         up to date
` + "e\u0301" + `             failed     –       v0.4.0   12345678  0   1       0        0         up to date
東京.example  converged  leader  v0.4.0   12345678  12  0       0        0         up to date

MEMBER        ENDPOINT               ROLE    ETCD   SIZE  HEALTH
東京.example  https://10.0.0.1:7481  leader  3.7.3  –     healthy

home: 3 hosts (2 converged, 1 failed); 1 member, 1 healthy; through web
` + "e\u0301" + `  x
`,
	},
	"no members to be told": {
		hosts:     map[string]etcd.HostState{"a": with(settled(20, engine.Counts{}), func(h *etcd.HostState) { h.Graph, h.Report.Graph = 0, 0 })},
		trouble:   "list members: the store does not answer",
		converged: true, silent: true,
		want: `
HOST  STATE      STORE  VERSION  BINARY    OK  FAILED  SKIPPED  REPAIRED  GRAPH
a     converged  –      v0.4.0   12345678  0   0       0        0         none

home: 1 host (1 converged); its members cannot be told: list members: the store does not answer
`,
	},
}

func TestStatus(t *testing.T) {
	for name, tt := range statuses {
		t.Run(name, func(t *testing.T) {
			s := NewStatus("home", etcd.Fleet{Hosts: tt.hosts, LastData: 20, Seen: 30}, tt.members)
			s.Through, s.Trouble = "web", tt.trouble
			if s.Converged != tt.converged || s.SomeFailed() != tt.failed || s.SomeSilent() != tt.silent {
				t.Errorf("converged %v, some failed %v, some silent %v", s.Converged, s.SomeFailed(), s.SomeSilent())
			}
			var out strings.Builder
			if err := s.Write(&out, false); err != nil {
				t.Fatal(err)
			}
			if want := tt.want[1:]; out.String() != want {
				t.Errorf("got\n%swant\n%s", &out, want)
			}
			if content, err := json.Marshal(s); err != nil || strings.ContainsAny(string(content), "\x1b\u202e\u009b") ||
				strings.Contains(string(content), `\u001b`) {
				t.Errorf("as JSON: %s (%v)", content, err)
			}
		})
	}
}

// Colours take no room.
func TestStatusInColour(t *testing.T) {
	tt := statuses["every trouble"]
	s := NewStatus("home", etcd.Fleet{Hosts: tt.hosts, LastData: 20, Seen: 30}, tt.members)
	var plainly, coloured strings.Builder
	if err := errors.Join(s.Write(&plainly, false), s.Write(&coloured, true)); err != nil {
		t.Fatal(err)
	}
	bare := coloured.String()
	for _, code := range []style{bold, red, green, yellow, "0"} {
		sequence := "\x1b[" + string(code) + "m"
		if code != green && !strings.Contains(bare, sequence) {
			t.Errorf("no %q", sequence)
		}
		bare = strings.ReplaceAll(bare, sequence, "")
	}
	if bare != plainly.String() {
		t.Errorf("without its colours it is\n%swant\n%s", bare, &plainly)
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		line string
		most int
		want string
	}{
		{"hello", 0, "hello"},
		{"hello", 6, "hello"},
		{"hello", 5, "hell"},
		{"\x1b[1mhello\x1b[0m there", 5, "\x1b[1mhell\x1b[0m"},
		{"\x1b[1mhello\x1b[0m", 6, "\x1b[1mhello\x1b[0m"},
		{"東京x", 4, "東"},
		{"hello", 1, ""},
	} {
		if got := Cut(tt.line, tt.most); got != tt.want {
			t.Errorf("%q in %d columns: %q, want %q", tt.line, tt.most, got, tt.want)
		}
	}
}

func TestChanges(t *testing.T) {
	at := func(members []MemberStatus, hosts map[string]etcd.HostState) Status {
		return NewStatus("home", etcd.Fleet{Hosts: hosts, LastData: 20, Seen: 30}, members)
	}
	a := MemberStatus{Host: "a", Role: Leader, Asked: true}
	before := at([]MemberStatus{a, {Host: "b", Role: Learner}}, map[string]etcd.HostState{
		"a": settled(20, fine), "b": settled(20, fine), "c": settled(20, fine),
	})
	if got := before.Changes(before); len(got) != 0 {
		t.Errorf("nothing changed, and it says %q", got)
	}
	after := at([]MemberStatus{{Host: "a", Role: Voter, Asked: true, Trouble: "no answer"}, {Host: "d", Role: Learner}}, map[string]etcd.HostState{
		"a": settled(20, engine.Counts{Total: 1, Failed: 1}, "exec/x: no\nmore"), "b": {Graph: 10}, "d": settled(20, fine),
	})
	after.Trouble = "gone"
	want := []string{
		"host a: failed, 0 ok, 1 failed, 0 skipped, 0 repaired, graph up to date: exec/x: no …",
		"host b: silent",
		"host d: converged, 12 ok, 0 failed, 0 skipped, 0 repaired, graph up to date",
		"host c: gone",
		"member a: member, no answer",
		"member d: learner, asking",
		"member b: gone",
		"members: gone",
	}
	if got := after.Changes(before); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A fakeSource is a store of which a test says what it tells.
type fakeSource struct {
	mu      sync.Mutex
	members []etcd.Member
	err     error
	fleets  chan etcd.Fleet
}

func (s *fakeSource) Follow(ctx context.Context, f func(etcd.Fleet)) error {
	for {
		select {
		case fleet := <-s.fleets:
			f(fleet)
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *fakeSource) Members(context.Context) ([]etcd.Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members, s.err
}

func threeMembers() *fakeSource {
	s := &fakeSource{fleets: make(chan etcd.Fleet, 8)}
	for i, name := range []string{"a", "b", "c"} {
		s.members = append(s.members, etcd.Member{ID: uint64(i + 1), Host: name, Client: "https://" + name + ":7481"})
	}
	return s
}

func fleetOf(hosts map[string]etcd.HostState) etcd.Fleet {
	return etcd.Fleet{Hosts: hosts, LastData: 20, Seen: 30}
}

// Members are what the most of those who answer say.
func TestObserverAsksTheMembers(t *testing.T) {
	source := threeMembers()
	source.members = append(source.members, etcd.Member{ID: 4, Learner: true}, etcd.Member{ID: 5, Host: "elsewhere"})
	source.fleets <- fleetOf(map[string]etcd.HostState{"a": settled(20, fine)})
	o := newObserver("home", source, func(_ context.Context, m etcd.Member) (etcd.MemberStatus, error) {
		switch m.Host {
		case "a":
			return etcd.MemberStatus{ID: 1, Leader: 1, Errors: []string{"etcdserver: no leader"}}, nil // it is cut off
		case "elsewhere":
			return etcd.MemberStatus{}, errNoAddress
		}
		return etcd.MemberStatus{ID: m.ID, Leader: 2, Version: "3.7.3", Size: 7}, nil
	})
	s, err := o.once(bounded(t), patience, patience)
	if err != nil {
		t.Fatal(err)
	}
	want := []MemberStatus{
		{Role: Learner, Trouble: "it has never been started"},
		{Host: "a", Endpoint: "https://a:7481", Role: Voter, Asked: true, Trouble: "etcdserver: no leader"},
		{Host: "b", Endpoint: "https://b:7481", Role: Leader, Asked: true, Version: "3.7.3", Size: 7},
		{Host: "c", Endpoint: "https://c:7481", Role: Voter, Asked: true, Version: "3.7.3", Size: 7},
		{Host: "elsewhere", Role: Voter, Trouble: "not asked: this record has no address for it"},
	}
	if !slices.Equal(s.Members, want) {
		t.Errorf("got  %+v\nwant %+v", s.Members, want)
	}
}

// One look waits for hosts that are about to converge, and for members, and not for ever.
func TestOneLook(t *testing.T) {
	silence := func(ctx context.Context, _ etcd.Member) (etcd.MemberStatus, error) {
		<-ctx.Done()
		return etcd.MemberStatus{}, context.Cause(ctx)
	}
	answer := func(_ context.Context, m etcd.Member) (etcd.MemberStatus, error) {
		return etcd.MemberStatus{ID: m.ID, Leader: 1}, nil
	}
	working, done := map[string]etcd.HostState{"a": settled(19, fine)}, map[string]etcd.HostState{"a": settled(20, fine)}

	source := threeMembers()
	source.fleets <- fleetOf(working)
	source.fleets <- fleetOf(done)
	if s, err := newObserver("home", source, answer).once(bounded(t), patience, patience); err != nil || !s.Converged {
		t.Errorf("about to converge: %+v (%v)", s, err)
	}
	source = threeMembers()
	source.fleets <- fleetOf(working)
	if s, err := newObserver("home", source, answer).once(bounded(t), 1, patience); err != nil || s.Converged || s.asking() {
		t.Errorf("at work: %+v (%v)", s, err)
	}
	source = threeMembers()
	source.fleets <- fleetOf(done)
	o := newObserver("home", source, silence)
	o.bound = time.Millisecond
	s, err := o.once(bounded(t), patience, patience)
	if err != nil || !s.SomeSilent() || s.Members[0].Trouble != "it has not answered for 1ms" {
		t.Errorf("members that say nothing: %+v (%v)", s, err)
	}
	if _, err := newObserver("home", threeMembers(), answer).once(bounded(t), 1, 1); err == nil ||
		err.Error() != "ask cluster home how it stands: the store does not answer" {
		t.Errorf("a store that says nothing: %v", err)
	}
}

// The first of what is told in the long run is not what is put together by and by.
func TestTheFirstOfManyIsWhole(t *testing.T) {
	source := threeMembers()
	source.fleets <- fleetOf(map[string]etcd.HostState{"a": settled(19, fine)})
	source.fleets <- fleetOf(map[string]etcd.HostState{"a": settled(20, fine)})
	o := newObserver("home", source, func(_ context.Context, m etcd.Member) (etcd.MemberStatus, error) {
		return etcd.MemberStatus{ID: m.ID, Leader: 1}, nil
	})
	o.every = patience
	ctx, cancel := context.WithCancel(bounded(t))
	var first *Status
	err := o.settled(ctx, patience, func(s Status) {
		if first == nil {
			first = &s
		}
		cancel()
	})
	if err != nil || first == nil || !first.Converged || first.asking() {
		t.Errorf("the first is %+v (%v)", first, err)
	}

	source = threeMembers()
	source.fleets <- fleetOf(map[string]etcd.HostState{"a": settled(19, fine)})
	o = newObserver("home", source, func(ctx context.Context, _ etcd.Member) (etcd.MemberStatus, error) {
		<-ctx.Done()
		return etcd.MemberStatus{}, ctx.Err()
	})
	o.every = patience
	ctx, cancel = context.WithCancel(bounded(t))
	told := false
	if err := o.settled(ctx, time.Millisecond, func(Status) { told = true; cancel() }); err != nil || !told {
		t.Errorf("what never settles is not told: %v", err)
	}
}

func TestObserverTellsEachChange(t *testing.T) {
	source := threeMembers()
	o := newObserver("home", source, func(_ context.Context, m etcd.Member) (etcd.MemberStatus, error) {
		return etcd.MemberStatus{ID: m.ID, Leader: 1}, nil
	})
	o.every = 1
	ctx, cancel := context.WithCancel(bounded(t))
	told, ended := make(chan Status, 1), make(chan error, 1)
	go func() {
		ended <- o.run(ctx, func(s Status) {
			select {
			case told <- s:
			case <-ctx.Done():
			}
		})
	}()
	await := func(what string, is func(Status) bool) {
		t.Helper()
		for {
			select {
			case s := <-told:
				if is(s) {
					return
				}
			case <-ctx.Done():
				t.Fatalf("waited in vain for %s", what)
			}
		}
	}
	source.fleets <- fleetOf(map[string]etcd.HostState{"a": settled(20, fine)})
	await("a leader", func(s Status) bool { return s.Converged && len(s.Members) == 3 && s.Members[0].Role == Leader })
	source.fleets <- fleetOf(map[string]etcd.HostState{"a": {Graph: 10}})
	await("a silent host", func(s Status) bool { return s.SomeSilent() })
	source.mu.Lock()
	source.err = errors.New("no majority")
	source.mu.Unlock()
	await("trouble", func(s Status) bool { return s.Trouble == "no majority" && len(s.Members) == 3 })
	source.mu.Lock()
	source.err, source.members = nil, source.members[:2]
	source.mu.Unlock()
	await("a member to be gone", func(s Status) bool { return s.Trouble == "" && len(s.Members) == 2 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
