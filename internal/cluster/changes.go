package cluster

import "fmt"

// Changes tells in lines what became of before, for where nothing can be painted anew.
func (s Status) Changes(before Status) []string {
	var lines []string
	hosts := make(map[string]HostStatus)
	for _, h := range before.Hosts {
		hosts[h.Name] = h
	}
	for _, h := range s.Hosts {
		if was, known := hosts[h.Name]; !known || h.line() != was.line() {
			lines = append(lines, h.line())
		}
		delete(hosts, h.Name)
	}
	for _, h := range before.Hosts {
		if _, gone := hosts[h.Name]; gone {
			lines = append(lines, "host "+h.Name+": gone")
		}
	}
	members := make(map[string]MemberStatus)
	for _, m := range before.Members {
		members[m.key()] = m
	}
	for _, m := range s.Members {
		if was, known := members[m.key()]; !known || m.line() != was.line() {
			lines = append(lines, m.line())
		}
		delete(members, m.key())
	}
	for _, m := range before.Members {
		if _, gone := members[m.key()]; gone {
			lines = append(lines, "member "+m.key()+": gone")
		}
	}
	if s.Trouble != before.Trouble && s.Trouble != "" {
		lines = append(lines, "members: "+brief(s.Trouble))
	}
	return lines
}

func (h HostStatus) line() string {
	line := fmt.Sprintf("host %s: %s", h.Name, h.State)
	if h.State == Silent {
		return line
	}
	line += fmt.Sprintf(", %d ok, %d failed, %d skipped, %d repaired, graph %s",
		h.Counts.OK, h.Counts.Failed, h.Counts.Skipped, h.Repaired, h.Graph)
	if len(h.Failures) > 0 {
		line += ": " + brief(h.Failures[0])
	}
	return line
}

func (m MemberStatus) line() string {
	return fmt.Sprintf("member %s: %s, %s", m.key(), m.Role, m.health().text)
}

// key tells a member from the others.
func (m MemberStatus) key() string {
	if m.Host == "" {
		return "(never started)"
	}
	return m.Host
}
