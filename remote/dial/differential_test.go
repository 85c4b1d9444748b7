package dial

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAgreesWithOpenSSH makes up configurations, nasty ones too, and wants of each what ssh -G
// says of it. What OpenSSH refuses may be read here all the same, never the other way round.
func TestAgreesWithOpenSSH(t *testing.T) {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI needs OpenSSH's client: ", err)
		}
		t.Skip("OpenSSH's client is not installed: ", err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for seed := range uint64(cases) {
		w := &writer{Rand: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), local: me.Username}
		path := w.file("config", 0)
		target := Target{Host: w.one("web1", "WEB1", "db.example", "10.0.0.1", "x"), User: w.one("", "", "root", "deploy")}
		args := []string{"-G", "-F", path}
		if target.User != "" {
			args = append(args, "-l", target.User)
		}
		out, err := exec.Command(ssh, append(args, target.Host)...).Output()
		if err != nil {
			continue
		}
		compared++
		d := &Dialer{Config: path, Home: me.HomeDir, System: "/etc/ssh", Getenv: func(string) string { return "" }}
		got, err := ours(d, target)
		if err != nil {
			t.Errorf("seed %d: ssh reads it: %v\n%s", seed, err, w.said())
			continue
		}
		want := theirs(string(out))
		for key := range want {
			if key != "host" && !slices.Contains(keywords, key) {
				t.Fatalf("%s is a keyword to ssh, and unknown here", key)
			}
		}
		for key, value := range got {
			if value != want[key] {
				t.Errorf("seed %d: %s of %s is %q, for ssh %q\n%s", seed, key, target, value, want[key], w.said())
			}
		}
	}
	if compared < cases/2 {
		t.Errorf("OpenSSH read %d of %d configurations only", compared, cases)
	}
}

// cases take some 10 ms each. Many thousands have agreed.
const cases = 120

// ours are the settings for target in the words of ssh -G.
func ours(d *Dialer, target Target) (map[string]string, error) {
	e, err := d.environment()
	if err != nil {
		return nil, err
	}
	s, err := e.resolve(target)
	if err != nil {
		return nil, err
	}
	var jumps []string
	for _, j := range s.jump {
		jumps = append(jumps, j.String())
	}
	files := ""
	if s.explicit {
		files = strings.Join(s.identities, "|")
	}
	return map[string]string{
		"hostname": s.host, "user": s.user, "port": s.port, "hostkeyalias": s.hostKeyAlias,
		"identityfile": files, "certificatefile": strings.Join(s.certificates, "|"),
		"proxyjump": strings.Join(jumps, ","), "proxycommand": s.proxyCommand,
		"userknownhostsfile": strings.Join(s.userKnownHosts, " "),
	}, nil
}

// theirs reads what ssh -G prints.
func theirs(out string) map[string]string {
	want := make(map[string]string)
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if strings.EqualFold(value, "none") || key == "identityfile" && strings.HasPrefix(value, "~") {
			continue // nothing, or what holds where nothing is set
		}
		if before, ok := want[key]; ok {
			value = before + "|" + value
		}
		want[key] = value
	}
	// It prints this one as written, though it expands it when it runs it.
	want["proxycommand"] = strings.NewReplacer("%h", want["hostname"], "%p", want["port"]).Replace(want["proxycommand"])
	return want
}

// A writer makes up configurations.
type writer struct {
	*rand.Rand
	dir, local string
	files      []string
}

func (w *writer) one(list ...string) string { return list[w.IntN(len(list))] }

func (w *writer) said() string {
	var b strings.Builder
	for _, f := range w.files {
		text, _ := os.ReadFile(f)
		fmt.Fprintf(&b, "--- %s\n%s\n", f, text)
	}
	return b.String()
}

func (w *writer) file(name string, depth int) string {
	path := filepath.Join(w.dir, name)
	var b strings.Builder
	end := w.one("\n", "\n", "\r\n", " \t\n")
	for range 1 + w.IntN(12) {
		b.WriteString(w.one("", "", " ", "\t") + w.line(depth) + end)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		panic(err)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		panic(err)
	}
	w.files = append(w.files, path)
	return path
}

func (w *writer) line(depth int) string {
	switch n := w.IntN(14); {
	case n < 3:
		return w.keyword("Host") + w.patterns(" ")
	case n < 6:
		return w.keyword("Match") + w.criteria()
	case n == 6 && depth < 2:
		name := fmt.Sprintf("d%d/%s%d.conf", depth, w.one("", "", "."), w.IntN(5))
		w.file(name, depth+1)
		return w.keyword("Include") + filepath.Join(w.dir, w.one(name, fmt.Sprintf("d%d/*", depth), fmt.Sprintf("d%d/[0-2].conf", depth), "missing", "d*/?.conf"))
	case n == 7:
		return w.one("# a comment", "", "#Port 1")
	}
	return w.setting()
}

func (w *writer) keyword(k string) string {
	return w.one(k, k, strings.ToLower(k), strings.ToUpper(k)) + w.one(" ", " ", "=", " = ", "\t", "  ")
}

func (w *writer) patterns(sep string) string {
	var list []string
	for range 1 + w.IntN(3) {
		p := w.one("*", "web1", "WEB1", "web*", "web?", "db.example", "*.example", "*.EXAMPLE", "10.0.0.*", "x", "y", "real", "REAL.example", "?")
		list = append(list, w.one("", "", "", "!")+p)
	}
	return strings.Join(list, sep)
}

func (w *writer) criteria() string {
	if w.IntN(6) == 0 {
		return w.one("all", "ALL")
	}
	var list []string
	for range 1 + w.IntN(3) {
		not := w.one("", "", "", "!")
		switch w.IntN(6) {
		case 0:
			list = append(list, not+w.one("final", "Final", "canonical"))
		case 1:
			list = append(list, not+"user "+w.one("root", "deploy,root", "!root,*", w.local, "d*"))
		case 2:
			list = append(list, not+"localuser "+w.one(w.local, "nobody", "*", "!"+w.local))
		case 3:
			list = append(list, not+w.one("originalhost ", "originalhost=")+w.patterns(","))
		default:
			list = append(list, not+w.one("host ", "Host ", "host=")+w.patterns(","))
		}
	}
	return strings.Join(list, " ")
}

func (w *writer) setting() string {
	tail := w.one("", "", "", " # comment", "  ", "\t#x")
	switch w.IntN(11) {
	case 0:
		return w.keyword("HostName") + w.one("real", "REAL.example", "%h.example", "10.1.1.1", `"quoted"`, "2001:db8::1") + tail
	case 1:
		return w.keyword("User") + w.one("root", "deploy", `"a b"`, "'c d'", `e\"f`) + tail
	case 2:
		return w.keyword("Port") + w.one("22", "2222", `"1"`, "0022") + tail
	case 3:
		return w.keyword("IdentityFile") + w.one("/k/a", "/k/b", `"/k/c d"`, "none", "/k/#e", `/k/f\ g`, `/k/h\i`, `"/k/j\"k"`) + tail
	case 4:
		return w.keyword("CertificateFile") + w.one("/c/a", "/c/b") + tail
	case 5:
		return w.keyword("HostKeyAlias") + w.one("alias", "Alias2") + tail
	case 6:
		if w.IntN(3) == 0 {
			return w.keyword("ProxyJump") + w.one("none", "NONE") // with a comment after it, OpenSSH 9.2 misreads it
		}
		return w.keyword("ProxyJump") + w.one("j", "u@j:22", "a,u@b:33", "[2001:db8::9]:44", "ssh://u@j:55") + tail
	case 7:
		return w.keyword("ProxyCommand") + w.one("none", `nc "%h" %p`, "sh -c 'a b' # not a comment", "=x")
	case 8:
		return w.keyword("UserKnownHostsFile") + w.one("/h/a", "/h/a /h/b", `"/h/c d" /h/e`, "none") + tail
	case 9:
		return w.keyword("IdentityAgent") + w.one("none", "SSH_AUTH_SOCK", "/a/s", "$X") + tail
	}
	return w.keyword("StrictHostKeyChecking") + w.one("no", "accept-new", "yes", "ask", "off") + tail
}
