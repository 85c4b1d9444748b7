package chaos

import (
	"fmt"
	"slices"
)

// A Status is what a campaign reads of spore status --json.
type Status struct {
	Hosts     []HostStatus   `json:"hosts"`
	Members   []MemberStatus `json:"members"`
	Converged bool           `json:"converged"`
	Trouble   string         `json:"trouble"`
}

// A HostStatus is how one host stands.
type HostStatus struct {
	Name     string   `json:"name"`
	State    string   `json:"state"`
	Failures []string `json:"failures"`
}

// A MemberStatus is how one member of the store stands.
type MemberStatus struct {
	Host    string `json:"host"`
	Role    string `json:"role"`
	Trouble string `json:"trouble"`
}

const learner = "learner"

// voting counts the members that vote.
func (s Status) voting() int {
	n := 0
	for _, m := range s.Members {
		if m.Role != learner {
			n++
		}
	}
	return n
}

// overstepped says which bound the number of voting members is beyond; nothing if none.
func (s Status) overstepped(ideal int) string {
	switch n := s.voting(); {
	case len(s.Members) == 0: // it does not say
		return ""
	case n > ideal:
		return fmt.Sprintf("%d members vote, more than the ideal of %d", n, ideal)
	case n < ideal/2+1:
		return fmt.Sprintf("%d members vote, fewer than the majority of the ideal %d", n, ideal)
	}
	return ""
}

// missing says what is yet to be before all is well.
func (s Status) missing(hosts []string, ideal int) []string {
	var out []string
	if s.Trouble != "" {
		out = append(out, "the members cannot be told: "+s.Trouble)
	}
	if !s.Converged {
		out = append(out, "the status says that not all has converged")
	}
	for _, host := range hosts {
		if i := slices.IndexFunc(s.Hosts, func(h HostStatus) bool { return h.Name == host }); i < 0 {
			out = append(out, fmt.Sprintf("the status does not know host %s", host))
		} else if h := s.Hosts[i]; h.State != "converged" {
			out = append(out, fmt.Sprintf("host %s is %s %q", host, h.State, h.Failures))
		}
	}
	if n := s.voting(); n != ideal || len(s.Members) != n {
		out = append(out, fmt.Sprintf("%d of %d members vote, where %d are to", n, len(s.Members), ideal))
	}
	for _, m := range s.Members {
		if m.Trouble != "" {
			out = append(out, fmt.Sprintf("the member on host %s: %s", m.Host, m.Trouble))
		}
	}
	return out
}
