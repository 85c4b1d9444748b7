package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"spore/etcd"
)

// A rolling is a cluster of hosts that are upgraded from "old" to "new".
type rolling struct {
	Upgrade
	status Status
	hosts  map[string]*host
	told
}

// newRolling is one of five hosts, of which c, d and e serve the store; d leads.
func newRolling(t *testing.T) *rolling {
	names := []string{"a", "b", "c", "d", "e"}
	r := &rolling{hosts: own(threeHosts(t), names...)}
	for _, name := range names {
		r.status.Hosts = append(r.status.Hosts, HostStatus{Name: name, State: Converged, Digest: "old", Graph: UpToDate})
		r.hosts[name].digest = "new"
		r.hosts[name].onVerb = func(string) { r.of(name).Digest = "new" }
	}
	for _, name := range names[2:] {
		r.of(name).Role = Voter
		r.status.Members = append(r.status.Members, MemberStatus{Host: name, Role: Voter, Asked: true})
	}
	r.of("d").Role = Leader
	r.Upgrade = Upgrade{
		Hosts: names, Conn: connTo(r.hosts), Tell: r.tell, poll: time.Millisecond, bound: patience,
		Binary: func(goos, goarch string) (string, error) {
			if goos != "linux" || goarch != "amd64" {
				return "", errors.New("there is no binary for it")
			}
			return "new", nil
		},
		Look: func(context.Context) (Status, error) {
			s := r.status
			s.Hosts, s.Members = slices.Clone(s.Hosts), slices.Clone(s.Members)
			return s, nil
		},
		Facts: func(context.Context) (map[string]etcd.Facts, error) {
			facts := map[string]etcd.Facts{}
			for _, name := range names {
				facts[name] = etcd.Facts{OS: "linux", Arch: "amd64"}
			}
			return facts, nil
		},
	}
	return r
}

func (r *rolling) of(host string) *HostStatus {
	i := slices.IndexFunc(r.status.Hosts, func(h HostStatus) bool { return h.Name == host })
	return &r.status.Hosts[i]
}

func (r *rolling) wants(t *testing.T, got Upgraded, done, left, pending string) {
	t.Helper()
	for what, pair := range map[string][2]string{
		"done": {strings.Join(got.Done, " "), done}, "left": {strings.Join(got.Left, " "), left}, "pending": {strings.Join(got.Pending, " "), pending},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %q, want %q", what, pair[0], pair[1])
		}
	}
}

func TestUpgradeComesToTheLeaderLast(t *testing.T) {
	r := newRolling(t)
	got, err := r.Run(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	r.wants(t, got, "a b c e d", "", "")
	if verbs := r.hosts["a"].verbs(); !slices.Equal(verbs, []string{"(install)", "upgrade --digest new"}) {
		t.Errorf("a was asked %q", verbs)
	}
	again, err := r.Run(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	r.wants(t, again, "a b c e d", "", "")
	if verbs := r.hosts["a"].verbs(); len(verbs) != 2 {
		t.Errorf("a was asked again: %q", verbs)
	}
}

func TestUpgradeFollowsTheLead(t *testing.T) {
	r := newRolling(t)
	r.hosts["c"].onVerb = func(string) { r.of("c").Digest, r.of("d").Role, r.of("e").Role = "new", Voter, Leader }
	got, err := r.Run(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	r.wants(t, got, "a b c d e", "", "")
}

func TestUpgradeStopsWhereOneFails(t *testing.T) {
	const why = "upgrade: the agent does not come up with the new binary; the previous binary is back and runs"
	r := newRolling(t)
	r.hosts["b"].fails = map[string]string{"upgrade": why}
	got, err := r.Run(bounded(t))
	if err == nil || err.Error() != "upgrade b: "+why {
		t.Errorf("the error is %v", err)
	}
	r.wants(t, got, "a", "", "b c d e")
}

func TestUpgradeStopsWhereOneIsNotWell(t *testing.T) {
	tests := map[string]struct {
		change func(r *rolling)
		want   string
	}{
		"nothing new": {func(*rolling) {}, "its agent reports another binary"},
		"silent":      {func(r *rolling) { r.of("c").State = Silent }, "its agent does not report"},
		"failing": {func(r *rolling) { r.of("c").Digest, r.of("c").State = "new", Failed },
			"some resource failed"},
		"working": {func(r *rolling) { r.of("c").Digest, r.of("c").State = "new", Working }, "it has not converged"},
		"behind":  {func(r *rolling) { r.of("c").Digest, r.of("c").Graph = "new", Behind }, "it has not converged"},
		"no store": {func(r *rolling) { r.of("c").Digest, r.status.Members[0].Trouble = "new", "corrupt" },
			"its member of the store: corrupt"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRolling(t)
			r.bound = 20 * time.Millisecond
			r.hosts["c"].onVerb = func(string) { tt.change(r) }
			got, err := r.Run(bounded(t))
			if err == nil || !strings.Contains(err.Error(), "upgrade c: it runs the new binary, but for 20ms it has not been well: "+tt.want) {
				t.Errorf("the error is %v", err)
			}
			r.wants(t, got, "a b", "", "c d e")
		})
	}
}

func TestUpgradeLeavesWhatIsDown(t *testing.T) {
	r := newRolling(t)
	r.of("a").State = Silent
	got, err := r.Run(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	r.wants(t, got, "b c e d", "a", "")
}

// TestUpgradeKeepsTheMajority has a member be down, without which the others are needed.
func TestUpgradeKeepsTheMajority(t *testing.T) {
	r := newRolling(t)
	r.of("e").State, r.status.Members[2].Trouble = Silent, "it does not answer"
	got, err := r.Run(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	r.wants(t, got, "a b", "c e d", "")
	if !slices.Contains(r.lines, "c: left as it is: the store would be without a majority meanwhile: 1 of its 2 other members answer") {
		t.Errorf("told %q", r.lines)
	}
}

func TestUpgradeOfAnotherSystem(t *testing.T) {
	r := newRolling(t)
	r.Facts = func(context.Context) (map[string]etcd.Facts, error) {
		return map[string]etcd.Facts{"a": {OS: "linux", Arch: "riscv64"}}, nil
	}
	got, err := r.Run(bounded(t))
	if err == nil || err.Error() != "upgrade a: there is no binary for it" {
		t.Errorf("the error is %v", err)
	}
	r.wants(t, got, "", "", "a b c d e")
}
