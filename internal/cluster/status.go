package cluster

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"spore/engine"
	"spore/etcd"
	"spore/remote"
)

// A State is how a host stands.
type State string

// The states of a host.
const (
	Converged State = "converged" // as its latest graph declares, having seen all that others wrote
	Working   State = "working"   // on the way there
	Failed    State = "failed"    // some resource could not be made as declared
	Silent    State = "silent"    // it has not reported for longer than its lease lasts
)

// A Role is what a host is to the store.
type Role string

// The roles of hosts.
const (
	Leader  Role = "leader"
	Voter   Role = "member"
	Learner Role = "learner"
)

// A Graph state says which graph a host runs.
const (
	UpToDate = "up to date"
	Behind   = "behind" // an earlier one than the store holds for it
	NoGraph  = "none"
)

// A Status is how a cluster stood at one moment.
type Status struct {
	Cluster  string         `json:"cluster"`
	Through  string         `json:"through,omitempty"` // the host that led to the store
	Revision int64          `json:"revision"`          // of the store
	Hosts    []HostStatus   `json:"hosts"`             // by name
	Members  []MemberStatus `json:"members"`           // by host
	// Converged says that every host is.
	Converged bool `json:"converged"`
	// Trouble says why the members cannot be told.
	Trouble string `json:"trouble,omitempty"`
}

// A HostStatus is how one host stood. What it says of itself is safe to show, and may be untrue.
type HostStatus struct {
	Name     string        `json:"name"`
	State    State         `json:"state"`
	Role     Role          `json:"role,omitempty"` // empty if it does not serve the store
	Version  string        `json:"version,omitempty"`
	Digest   string        `json:"digest,omitempty"` // of its binary
	Counts   engine.Counts `json:"counts"`
	Repaired int64         `json:"repaired"`
	Graph    string        `json:"graph,omitempty"` // empty if it is silent
	Failures []string      `json:"failures,omitempty"`
}

// A MemberStatus is how one member of the store stood.
type MemberStatus struct {
	Host     string `json:"host"`
	Endpoint string `json:"endpoint,omitempty"` // for clients; empty if it has never been started
	Role     Role   `json:"role"`
	Asked    bool   `json:"asked"` // it has been asked how it stands: Trouble is the answer, and so is that there is none
	Version  string `json:"version,omitempty"`
	Size     int64  `json:"size,omitempty"` // of its database, in bytes
	Trouble  string `json:"trouble,omitempty"`
}

// Healthy says that the member answers and finds nothing wrong.
func (m MemberStatus) Healthy() bool { return m.Asked && m.Trouble == "" }

// NewStatus returns how a cluster stands whose hosts are as in f.
func NewStatus(name string, f etcd.Fleet, members []MemberStatus) Status {
	s := Status{Cluster: name, Revision: f.Seen, Members: slices.Clone(members), Converged: len(f.Hosts) > 0}
	slices.SortFunc(s.Members, func(a, b MemberStatus) int { return cmp.Compare(a.Host, b.Host) })
	roles := make(map[string]Role)
	for _, m := range members {
		roles[m.Host] = m.Role
	}
	for _, host := range slices.Sorted(maps.Keys(f.Hosts)) {
		h := hostStatus(host, f)
		h.Role = roles[h.Name]
		s.Hosts = append(s.Hosts, h)
		s.Converged = s.Converged && h.State == Converged
	}
	return s
}

func hostStatus(name string, f etcd.Fleet) HostStatus {
	h := f.Hosts[name]
	s := HostStatus{Name: remote.Clean(name), State: Silent, Version: remote.Clean(h.Facts.Version), Digest: remote.Clean(h.Facts.Digest)}
	if !h.HasReport {
		return s
	}
	s.Counts, s.Repaired = h.Report.Counts, h.Report.Repaired
	for _, text := range h.Report.Failures {
		s.Failures = append(s.Failures, cleanLines(text))
	}
	switch {
	case h.Graph == 0:
		s.Graph = NoGraph
	case h.Report.Graph == h.Graph:
		s.Graph = UpToDate
	default:
		s.Graph = Behind
	}
	switch {
	case s.Counts.Failed > 0 || len(s.Failures) > 0:
		s.State = Failed
	case f.Converged([]string{name}):
		s.State = Converged
	default:
		s.State = Working
	}
	return s
}

func cleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = remote.Clean(line)
	}
	return strings.Join(lines, "\n")
}

// count returns how many hosts are in a state.
func (s Status) count(state State) (n int) {
	for _, h := range s.Hosts {
		if h.State == state {
			n++
		}
	}
	return n
}

// SomeFailed says that a resource of some host could not be made as declared.
func (s Status) SomeFailed() bool { return s.count(Failed) > 0 }

// SomeSilent says that some host does not report, or some member of the store does not answer.
func (s Status) SomeSilent() bool {
	return s.Trouble != "" || s.count(Silent) > 0 ||
		slices.ContainsFunc(s.Members, func(m MemberStatus) bool { return m.Asked && m.Trouble != "" })
}

// asking says that some member has yet to answer.
func (s Status) asking() bool {
	return s.Members == nil && s.Trouble == "" ||
		slices.ContainsFunc(s.Members, func(m MemberStatus) bool { return !m.Asked && m.Trouble == "" })
}
