package cluster

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	"spore/internal/view"
	"spore/remote"
)

const (
	shortDigest = 8  // characters of a digest that are shown
	mostWords   = 80 // characters of a failure that are shown
	nothing     = "–"
)

// Write writes s for people: its hosts, its members, a summary, and what failed.
func (s Status) Write(w io.Writer, colour bool) error {
	var b strings.Builder
	_ = s.hostTable().write(&b, colour) // a Builder takes everything
	b.WriteByte('\n')
	if len(s.Members) > 0 {
		_ = s.memberTable().write(&b, colour)
		b.WriteByte('\n')
	}
	b.WriteString(s.Summary() + "\n")
	_ = s.failures().write(&b, colour)
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Status) hostTable() table {
	var t table
	t.row("HOST", "STATE", "STORE", "VERSION", "BINARY", "OK", "FAILED", "SKIPPED", "REPAIRED", "GRAPH")
	for _, h := range s.Hosts {
		row := []cell{{h.Name, bold}, {string(h.State), h.State.style()}}
		told := []string{
			cmp.Or(string(h.Role), nothing), cmp.Or(brief(h.Version), nothing), short(h.Digest),
			nothing, nothing, nothing, nothing, nothing,
		}
		if h.State != Silent {
			told = append(told[:3], strconv.Itoa(h.Counts.OK), strconv.Itoa(h.Counts.Failed),
				strconv.Itoa(h.Counts.Skipped), strconv.FormatInt(h.Repaired, 10), h.Graph)
		}
		for _, text := range told {
			row = append(row, cell{text: text})
		}
		if h.Graph == Behind {
			row[len(row)-1].style = yellow
		}
		t = append(t, row)
	}
	return t
}

func (s Status) memberTable() table {
	var t table
	t.row("MEMBER", "ENDPOINT", "ROLE", "ETCD", "SIZE", "HEALTH")
	for _, m := range s.Members {
		size := nothing
		if m.Size > 0 {
			size = view.Bytes(m.Size)
		}
		t = append(t, []cell{
			{m.key(), bold}, {text: cmp.Or(m.Endpoint, nothing)}, {text: string(m.Role)},
			{text: cmp.Or(m.Version, nothing)}, {text: size}, m.health(),
		})
	}
	return t
}

func (m MemberStatus) health() cell {
	switch {
	case m.Trouble != "":
		return cell{brief(m.Trouble), red}
	case !m.Asked:
		return cell{"asking", plain}
	}
	return cell{"healthy", green}
}

func (s State) style() style {
	switch s {
	case Converged:
		return green
	case Working:
		return yellow
	}
	return red
}

// Summary tells in one line how the cluster stands.
func (s Status) Summary() string {
	var parts []string
	for _, state := range []State{Converged, Working, Failed, Silent} {
		if n := s.count(state); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	line := fmt.Sprintf("%s: %s", s.Cluster, plural(len(s.Hosts), "host"))
	if len(parts) > 0 {
		line += " (" + strings.Join(parts, ", ") + ")"
	}
	if s.Trouble != "" {
		return line + "; its members cannot be told: " + brief(s.Trouble)
	}
	healthy := 0
	for _, m := range s.Members {
		if m.Healthy() {
			healthy++
		}
	}
	line += fmt.Sprintf("; %s, %d healthy", plural(len(s.Members), "member"), healthy)
	if s.Through != "" {
		line += "; through " + remote.Clean(s.Through)
	}
	return line
}

// failures has the first line of everything that failed, behind the host's name.
func (s Status) failures() table {
	var t table
	for _, h := range s.Hosts {
		for i, text := range h.Failures {
			name := ""
			if i == 0 {
				name = h.Name
			}
			t = append(t, []cell{{name, bold}, {brief(text), red}})
		}
	}
	return t
}

// brief is the first line of a text, cut where it is long.
func brief(text string) string {
	first, _, more := strings.Cut(strings.TrimSpace(text), "\n")
	runes := []rune(remote.Clean(first))
	if len(runes) > mostWords {
		runes, more = runes[:mostWords], true
	}
	if more {
		return string(runes) + " …"
	}
	return string(runes)
}

func short(digest string) string {
	if digest == "" {
		return nothing
	}
	runes := []rune(digest)
	return string(runes[:min(len(runes), shortDigest)])
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
