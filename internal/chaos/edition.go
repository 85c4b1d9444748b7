package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// An edition is what is deployed to all hosts at once. Its number is in every file, its epoch says
// which hosts export a second file; for the others that export is withdrawn.
type edition struct{ number, epoch int }

// passes says whether the host exports its second file.
func (e edition) passes(hosts []string, host string) bool {
	return (slices.Index(hosts, host)+e.epoch)%2 == 0
}

// Files of hosts. The last two are exported, and collected by all.
const ownFile = "/srv/own"

func sharedFile(host string) string  { return "/srv/shared-" + host }
func passingFile(host string) string { return "/srv/passing-" + host }

func (e edition) own(host string) string    { return fmt.Sprintf("%s alone: %d\n", host, e.number) }
func (e edition) shared(host string) string { return fmt.Sprintf("from %s: %d\n", host, e.number) }
func (e edition) passing(host string) string {
	return fmt.Sprintf("from %s for now: %d\n", host, e.number)
}

// isOwn says whether the text is that of some edition, rather than somebody else's.
func isOwn(text, host string) bool { return strings.HasPrefix(text, host+" alone: ") }

// graph is the graph file of a host.
func (e edition) graph(hosts []string, host string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "graph: %[1]s\nremote: %[1]s\nresources:\n  file:\n", host)
	fmt.Fprintf(&b, "  - name: %s\n    content: %q\n", ownFile, e.own(host))
	fmt.Fprintf(&b, "  - name: \"@@shared-%s\"\n    path: %s\n    content: %q\n", host, sharedFile(host), e.shared(host))
	if e.passes(hosts, host) {
		fmt.Fprintf(&b, "  - name: \"@@passing-%s\"\n    path: %s\n    content: %q\n", host, passingFile(host), e.passing(host))
	}
	b.WriteString("collect:\n- kind: file\n  pattern: /srv/\n")
	return b.String()
}

// files is what every host has to hold.
func (e edition) files(hosts []string, host string) map[string]string {
	out := map[string]string{ownFile: e.own(host)}
	for _, other := range hosts {
		out[sharedFile(other)] = e.shared(other)
		if e.passes(hosts, other) {
			out[passingFile(other)] = e.passing(other)
		}
	}
	return out
}

// withdrawn are the exports that no host may see.
func (e edition) withdrawn(hosts []string) []string {
	var out []string
	for _, host := range hosts {
		if !e.passes(hosts, host) {
			out = append(out, passingFile(host))
		}
	}
	return out
}

// save writes the graph files of an edition and returns their paths.
func (e edition) save(dir string, hosts []string) ([]string, error) {
	var paths []string
	for _, host := range hosts {
		path := filepath.Join(dir, host+".yaml")
		if err := os.WriteFile(path, []byte(e.graph(hosts, host)), 0o600); err != nil {
			return nil, fmt.Errorf("save a graph: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}
