package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "spore/"

// A layer says what the packages that match a pattern may import. Imports of tests are their own
// affair.
type layer struct {
	pattern string   // of path.Match, below the module
	own     []string // patterns of the project's packages
	outside []string // prefixes of other modules' packages; nil leaves them free
}

var (
	nothing = []string{}
	only    = func(s ...string) []string { return s }
)

// layers is the house from the ground up: a row may import none but rows above it in this list.
var layers = []layer{
	{"graph", nothing, nothing},
	{"engine", only("graph"), only("golang.org/x/time/")},
	{"engine/enginetest", only("engine"), nothing},
	{"engine/manifest", only("engine", "graph"), nil},

	{"etcd", only("engine", "graph"), nil},

	{"internal/fswatch/mounts", nothing, nil},
	{"internal/fswatch", only("internal/fswatch/mounts"), nil},
	{"resources/*", only("engine", "internal/fswatch", "internal/fswatch/mounts"), nil},
	{"resources", only("engine", "internal/fswatch", "resources/*"), nil},

	{"remote/dial/sshconfig", nothing, nil},
	{"remote/dial", only("remote/dial/sshconfig"), nil},
	{"remote", only("remote/dial"), nil},

	{"internal/secret", nothing, nil},
	{"internal/settle", nothing, nil},
	{"internal/view", only("engine"), nil},
	{"internal/edits", only("engine", "engine/manifest", "internal/fswatch"), nil},

	{"internal/agent", only("engine", "engine/manifest", "etcd", "resources", "internal/secret", "internal/settle", "internal/view"), nil},
	{"internal/bundle", only("engine/manifest"), nil},
	{"internal/steward", only("etcd", "internal/secret"), nil},
	// What stays on the hosts of a detached fleet, and the initiator's side of that.
	{"internal/resident", only(
		"engine", "engine/manifest", "etcd", "internal/agent", "internal/bundle", "internal/secret", "internal/steward", "internal/view",
	), nil},
	{"internal/cluster", only(
		"engine", "engine/manifest", "etcd", "graph", "remote", "remote/dial", "internal/agent", "internal/bundle", "internal/resident",
		"internal/secret", "internal/settle", "internal/view",
	), nil},

	// Of the agent, the fleet knows the words that the two exchange; not the other way round.
	{"internal/fleet", only(
		"engine", "engine/manifest", "etcd", "remote", "remote/dial", "internal/agent", "internal/bundle", "internal/cluster",
		"internal/edits", "internal/resident", "internal/secret", "internal/settle", "internal/view",
	), nil},

	{"internal/release", nothing, nothing},
	{"internal/sshtest", nothing, nil},
	{"internal/lab", nothing, nil},
	{"internal/lab/labtest", only("internal/lab"), nil},
	{"internal/lab/cmd", only("internal/lab"), nil},
	{"internal/demo", only("internal/lab", "internal/sshtest", "internal/view"), nil},
	{"internal/e2e", nothing, nil},
	{"internal/arch", nothing, nothing},
	{"internal/chaos", only("internal/lab"), nil},
	{"internal/chaos/*", only("internal/chaos", "internal/lab"), nil},
	{"bench", only("internal/lab", "internal/view"), nil},

	{"cmd/spore", only(
		"engine", "engine/manifest", "etcd", "resources", "remote", "remote/dial", "internal/fswatch",
		"internal/agent", "internal/cluster", "internal/demo", "internal/edits", "internal/fleet", "internal/resident", "internal/secret",
		"internal/settle", "internal/view",
	), nil},
}

// reserved are modules that only these packages may import: what they do is hidden behind them.
var reserved = map[string][]string{
	"go.etcd.io/":             only("etcd"),
	"github.com/spf13/cobra":  only("cmd/spore", "internal/lab/cmd"),
	"github.com/fsnotify/":    only("internal/fswatch", "bench"),
	"github.com/pkg/sftp":     only("remote", "internal/sshtest"),
	"golang.org/x/crypto/ssh": only("remote", "remote/dial", "remote/dial/*", "internal/sshtest", "internal/lab", "internal/demo"),
	"go.yaml.in/":             only("engine/manifest"),
}

// A pkg is what go list tells of a package.
type pkg struct {
	ImportPath string
	Imports    []string
}

func TestImportsPointDown(t *testing.T) {
	packages, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 10 {
		t.Fatalf("only %d packages found", len(packages))
	}
	for _, fault := range faults(packages) {
		t.Error(fault)
	}
}

// TestTheTablePointsDown keeps the table itself from stating a wrong direction.
func TestTheTablePointsDown(t *testing.T) {
	for i, l := range layers {
		for _, allowed := range l.own {
			if !slices.ContainsFunc(layers[:i], func(below layer) bool { return below.pattern == allowed }) {
				t.Errorf("%s may import %s, which is no row before it", l.pattern, allowed)
			}
		}
	}
}

func TestFaultsAreFound(t *testing.T) {
	tests := map[string]struct {
		path, imports string
		want          string
	}{
		"up":       {"graph", "spore/engine", "graph imports engine"},
		"sideways": {"resources/file", "spore/resources/exec", "resources/file imports resources/exec"},
		"outside":  {"engine", "go.yaml.in/yaml/v3", "engine imports go.yaml.in/yaml/v3"},
		"reserved": {"internal/agent", "go.etcd.io/etcd/client/v3", "internal/agent imports go.etcd.io/etcd/client/v3"},
		"unknown":  {"internal/new", "fmt", "add it to the table"},
		"down":     {"resources/file", "spore/engine", ""},
		"standard": {"graph", "net/http", ""},
		"allowed":  {"engine", "golang.org/x/time/rate", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(faults([]pkg{{module + tt.path, []string{tt.imports}}}), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func list() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, &stderr)
	}
	var packages []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		}
		packages = append(packages, p)
	}
}

// faults says what is wrong with the imports of the packages.
func faults(packages []pkg) (found []string) {
	for _, p := range packages {
		name := strings.TrimPrefix(p.ImportPath, module)
		i := slices.IndexFunc(layers, func(l layer) bool { return match(l.pattern, name) })
		if i < 0 {
			found = append(found, fmt.Sprintf("%s is new here: add it to the table", name))
			continue
		}
		for _, imported := range p.Imports {
			if !layers[i].allows(name, imported) {
				found = append(found, fmt.Sprintf("%s imports %s, against the table", name, strings.TrimPrefix(imported, module)))
			}
		}
	}
	return found
}

// allows reports whether the package called name, of layer l, may import another.
func (l layer) allows(name, imported string) bool {
	if own, ok := strings.CutPrefix(imported, module); ok {
		return matchAny(l.own, own)
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	for prefix, holders := range reserved {
		if strings.HasPrefix(imported, prefix) && !matchAny(holders, name) {
			return false
		}
	}
	return l.outside == nil || slices.ContainsFunc(l.outside, func(prefix string) bool {
		return strings.HasPrefix(imported, prefix)
	})
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

func match(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}
