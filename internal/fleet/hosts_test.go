package fleet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spore/engine/manifest"
)

func TestHosts(t *testing.T) {
	m := load(t, "g.yaml", "remote: [root@a, 'ssh://b:2222', 'web[08:10]', '::1']\n")
	named := load(t, "named.yaml", "hostname: me\nremote: root@c\n")
	hosts, err := Hosts([]*manifest.Manifest{m, named}, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	if got, want := strings.Join(names, " "), "a b:2222 web08 web09 web10 ::1 me"; got != want {
		t.Errorf("the hosts are %s, want %s", got, want)
	}
	if hosts[1].Target.Port != "2222" || hosts[6].Target.User != "root" || hosts[6].Manifest != named {
		t.Errorf("the targets are %+v", hosts)
	}
}

// All that is wrong is told at once, each with its place.
func TestHostsDiagnostics(t *testing.T) {
	one := load(t, "one.yaml", "remote: [a, ftp://b, 'c[2:1]']\n")
	two := load(t, "two.yaml", "remote: root@a\n")
	three := load(t, "three.yaml", "graph: three\n")
	four := load(t, "four.yaml", "hostname: me\nremote: 'd[1:2]'\n")
	_, err := Hosts([]*manifest.Manifest{one, two, three, four}, Selection{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`one.yaml:1:13: parse host address: scheme "ftp" is not supported`,
		`one.yaml:1:22: expand [2:1]: the range ends before it begins`,
		`two.yaml:1:9: host a has a graph already, from ` + one.File + `:1:10`,
		`three.yaml: no host is named`,
		`four.yaml:2:9: hostname is given, but there are several hosts`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
}

func TestHostsFromFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, []byte("# ours\nroot@a\n  b # the other\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := load(t, "g.yaml", "graph: g\n")
	hosts, err := Hosts([]*manifest.Manifest{m}, Selection{File: path, Limit: "b"})
	if err != nil || len(hosts) != 1 || hosts[0].Name != "b" {
		t.Errorf("the hosts are %+v (%v), want b", hosts, err)
	}
	for words, s := range map[string]Selection{
		"leaves none of the 2 hosts": {File: path, Limit: "x*"},
		"no such file":               {File: path + "~"},
	} {
		if _, err := Hosts([]*manifest.Manifest{m}, s); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%+v: got %v, want %q", s, err, words)
		}
	}
	if _, err := Hosts([]*manifest.Manifest{load(t, "own.yaml", "remote: c\n")}, Selection{File: path}); err == nil {
		t.Error("a file of hosts that no graph is for was passed over")
	}
}
