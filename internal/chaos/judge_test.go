package chaos

import (
	"slices"
	"strings"
	"testing"
	"time"

	"spore/internal/lab"
)

func wellStatus() Status {
	return Status{
		Converged: true,
		Hosts:     []HostStatus{{Name: "a", State: "converged"}, {Name: "b", State: "converged"}},
		Members:   []MemberStatus{{Host: "a", Role: "leader"}, {Host: "b", Role: "member"}, {Host: "c", Role: "member"}},
	}
}

func TestMissing(t *testing.T) {
	if m := wellStatus().missing(two, 3); len(m) > 0 {
		t.Fatalf("missing where all is well: %q", m)
	}
	for want, change := range map[string]func(*Status){
		"not all has converged":       func(s *Status) { s.Converged = false },
		"cannot be told: silence":     func(s *Status) { s.Trouble = "silence" },
		"does not know host b":        func(s *Status) { s.Hosts = s.Hosts[:1] },
		`host b is failed ["no"]`:     func(s *Status) { s.Hosts[1] = HostStatus{"b", "failed", []string{"no"}} },
		"2 of 2 members vote":         func(s *Status) { s.Members = s.Members[:2] },
		"2 of 3 members vote":         func(s *Status) { s.Members[2].Role = learner },
		"3 of 4 members vote":         func(s *Status) { s.Members = append(s.Members, MemberStatus{Role: learner}) },
		"the member on host c: crash": func(s *Status) { s.Members[2].Trouble = "crash" },
	} {
		s := wellStatus()
		change(&s)
		if m := strings.Join(s.missing(two, 3), "\n"); !strings.Contains(m, want) {
			t.Errorf("%q is not in %q", want, m)
		}
	}
}

func TestOverstepped(t *testing.T) {
	voters := func(n int) Status {
		return Status{Members: append(slices.Repeat([]MemberStatus{{Role: "member"}}, n), MemberStatus{Role: learner})}
	}
	for n, want := range map[int]string{2: "2 members vote, fewer", 3: "", 4: "", 5: "", 6: "6 members vote, more"} {
		if got := voters(n).overstepped(5); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%d voters: %q", n, got)
		}
	}
	if got := (Status{}).overstepped(5); got != "" {
		t.Errorf("a status without members: %q", got)
	}
}

func TestAgents(t *testing.T) {
	process := func(pid, parent int, line string) lab.Process {
		return lab.Process{PID: pid, Parent: parent, Args: strings.Split(line, " ")}
	}
	const resident = "/var/lib/spore/bin/spore resident agent"
	got := agents([]lab.Process{
		process(1, 0, "/sbin/init"),
		process(20, 1, resident),
		process(21, 20, resident), // forked, to become another program
		process(22, 1, "/var/lib/spore/bin/spore resident store"),
		process(23, 1, "/var/lib/spore/cache/x/spore run --no-server"),
		process(24, 1, "spore"),
		process(25, 1, "tail -f "+resident),
	})
	if len(got) != 2 || !strings.HasPrefix(got[0], "20 ") || !strings.HasPrefix(got[1], "23 ") {
		t.Errorf("agents: %q", got)
	}
}

func TestViolationsAreToldOnce(t *testing.T) {
	var told []string
	w := &watch{ideal: 3, found: func(text string) { told = append(told, text) }}
	w.status(wellStatus())
	many := wellStatus()
	many.Members = append(many.Members, MemberStatus{Role: "member"})
	w.status(many)
	w.status(many)
	if len(told) != 1 || !strings.Contains(told[0], "4 members vote") {
		t.Errorf("told: %q", told)
	}
}

func TestReport(t *testing.T) {
	r := &Report{
		Seed: 42, Hosts: 7, Members: 5, Took: 15*time.Minute + 3*time.Second,
		Faults: map[Kind][]time.Duration{
			KillAgent: {time.Second, 3 * time.Second, 2 * time.Second},
			Cut:       {4500 * time.Millisecond},
		},
		Deploys: Deploys{Acknowledged: 512, Refused: 2, Median: 600 * time.Millisecond, Longest: 7 * time.Second},
		Drifts:  4, LostWrites: 1, Violations: []string{"something bad"},
	}
	const want = `seed 42: 7 hosts, 5 of them members, 15m3s

fault                 times    median   longest  from its end until all was well
kill -9 the agent         3     2.0 s     3.0 s
cut the link              1     4.5 s     4.5 s
all                       4     2.0 s     4.5 s

deploys acknowledged  512 (2 attempts were not, and were repeated)
wait for a deploy     median 0.6 s, longest 7.0 s
store unavailable     6.4 s at most, which is the longest wait less the median
drifts repaired       4
lost writes           1
violations            1
  something bad
`
	if got := r.String(); got != want {
		t.Errorf("the report is\n%s", got)
	}
}
