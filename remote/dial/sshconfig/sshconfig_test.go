package sshconfig_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spore/remote/dial/sshconfig"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, text string) *sshconfig.Config {
	t.Helper()
	home := t.TempDir()
	path := filepath.Join(home, "config")
	write(t, path, text)
	c, err := sshconfig.Load(home, sshconfig.Source{Path: path, Dir: home})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestResolve(t *testing.T) {
	for name, tc := range map[string]struct {
		config string
		query  sshconfig.Query
		want   map[string]string // keyword → words of all its values
	}{
		"first value wins": {
			"Host web*\n Port 1\n\nHost *\n Port 2\n User u\n",
			sshconfig.Query{Host: "web1"}, map[string]string{"port": "1", "user": "u"},
		},
		"before any Host": {
			"Port 7\nHost other\n Port 8\n",
			sshconfig.Query{Host: "web1"}, map[string]string{"port": "7"},
		},
		"negated pattern": {
			"Host *.example !db.example\n Port 1\n",
			sshconfig.Query{Host: "db.example"}, map[string]string{"port": ""},
		},
		"one character is one, not none": {
			"Host web?\n Port 1\n",
			sshconfig.Query{Host: "web"}, map[string]string{"port": ""},
		},
		"equals, quotes, tabs, comments, carriage returns": {
			"Host\t\"web1\" # main\r\n\tPort=5 # five\r\n\tUser = \"a b\"\r\n\tIdentityFile ~/k#1\r\n\tIdentityFile 'x y'\r\n",
			sshconfig.Query{Host: "web1"}, map[string]string{"port": "5", "user": "a b", "identityfile": "~/k#1|x y"},
		},
		"several words": {
			"UserKnownHostsFile a \"b c\" d\n",
			sshconfig.Query{Host: "web1"}, map[string]string{"userknownhostsfile": "a,b c,d"},
		},
		"identity files add up, once each": {
			"IdentityFile a\nHost web1\n IdentityFile b\n IdentityFile a\n",
			sshconfig.Query{Host: "web1"}, map[string]string{"identityfile": "a|b"},
		},
		"match host sees HostName": {
			"Host w\n HostName WEB1.example\nMatch host *.EXAMPLE,x\n Port 1\nMatch originalhost w\n User o\nMatch !host *.example\n Port 2\n",
			sshconfig.Query{Host: "w"}, map[string]string{"port": "1", "user": "o"},
		},
		"match user": {
			"Match user root\n Port 1\nMatch user me\n Port 2\n",
			sshconfig.Query{Host: "w", User: "root", LocalUser: "me"}, map[string]string{"port": "1"},
		},
		"match user set before, and local user": {
			"User u\nMatch user u localuser me\n Port 1\n",
			sshconfig.Query{Host: "w", LocalUser: "me"}, map[string]string{"port": "1"},
		},
		"match all ends a block": {
			"Host other\n Port 1\nMatch all\n Port 2\n",
			sshconfig.Query{Host: "w"}, map[string]string{"port": "2"},
		},
		"match final comes last": {
			"Match final all\n Port 1\n User f\nHost *\n Port 2\n",
			sshconfig.Query{Host: "w"}, map[string]string{"port": "2", "user": "f"},
		},
		"match final sees HostName in Host lines": {
			"Host real\n Port 1\nHost w\n HostName REAL\nMatch final\n HostName late\n",
			sshconfig.Query{Host: "w"}, map[string]string{"port": "1", "hostname": "REAL"},
		},
		"match with equals": {
			"Match host=w,x user=me\n Port 1\n",
			sshconfig.Query{Host: "w", LocalUser: "me"}, map[string]string{"port": "1"},
		},
		"match exec is left out": {
			"Match exec \"true\"\n Port 1\nHost *\n Port 2\n",
			sshconfig.Query{Host: "w"}, map[string]string{"port": "2"},
		},
		"last line without newline": {
			"Host w\n Port 22",
			sshconfig.Query{Host: "w"}, map[string]string{"port": "22"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := load(t, tc.config).Resolve(tc.query)
			for key, want := range tc.want {
				var got []string
				for _, v := range s.All(key) {
					got = append(got, strings.Join(v.Args, ","))
				}
				if strings.Join(got, "|") != want {
					t.Errorf("%s is %q, want %q", key, got, want)
				}
			}
		})
	}
}

func TestPositionsAndSkipped(t *testing.T) {
	s := load(t, "# comment\nHost w\n  Port 22\nMatch host other exec x\n User a\nMatch exec \"x y\"\n User b\n").Resolve(sshconfig.Query{Host: "w"})
	v, ok := s.Get("port")
	if !ok || !strings.HasSuffix(v.Pos, "/config:3") {
		t.Errorf("port stands at %q, want line 3", v.Pos)
	}
	// The first Match cannot hold whatever its command says, so only the second is worth a word.
	if got := s.Skipped(); len(got) != 1 || !strings.Contains(got[0], "config:6: Match exec") {
		t.Errorf("skipped %q, want line 6 only", got)
	}
}

func TestRawKeepsTheLine(t *testing.T) {
	const command = `sh -c 'nc "%h" %p' # comment`
	v, _ := load(t, "ProxyCommand  "+command+"\n").Resolve(sshconfig.Query{Host: "w"}).Get("proxycommand")
	if v.Raw != command {
		t.Errorf("raw value %q, want %q", v.Raw, command)
	}
}

func TestInclude(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, ".ssh")
	write(t, filepath.Join(dir, "config"), "Host web*\n  Include conf.d/*.conf ~/extra missing\n  User outer\nHost *\n  Port 9\n")
	write(t, filepath.Join(dir, "conf.d", "a.conf"), "Port 1\nHost nobody\n  User inner\n")
	write(t, filepath.Join(dir, "conf.d", "b.conf"), "Port 2\n")
	write(t, filepath.Join(home, "extra"), "HostName extra\n")
	write(t, filepath.Join(dir, "conf.d", ".a.conf"), "what an editor left")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "conf.d", "dir.conf"), 0o700), os.Symlink("nowhere", filepath.Join(dir, "conf.d", "broken.conf"))); err != nil {
		t.Fatal(err)
	}
	c, err := sshconfig.Load(home, sshconfig.Source{Path: filepath.Join(dir, "config"), Dir: dir, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string][3]string{"web1": {"1", "outer", "extra"}, "db": {"9", "", ""}} {
		s := c.Resolve(sshconfig.Query{Host: host})
		var got [3]string
		for i, key := range []string{"port", "user", "hostname"} {
			v, _ := s.Get(key)
			got[i] = v.String()
		}
		if got != want {
			t.Errorf("%s: port, user, hostname are %q, want %q", host, got, want)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	home := t.TempDir()
	path := filepath.Join(home, "config")
	for text, want := range map[string]string{
		"Port 1\nHost\n":            "config:2: Host has no value",
		"= x\n":                     "config:1: the keyword is missing",
		"IdentityFile \"a\n":        "config:1: a quote is not closed",
		"Include " + path + "\n":    "files deep",
		"Port # only a comment\n":   "config:1: Port has no value",
		"\n\nInclude [\n":           "config:3: include",
		"ProxyCommand \t\nPort 1\n": "config:1: ProxyCommand has no value",
	} {
		write(t, path, text)
		_, err := sshconfig.Load(home, sshconfig.Source{Path: path, Dir: home})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := sshconfig.Load(home, sshconfig.Source{Path: path, Private: true}); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Errorf("a file that others may write: error %v", err)
	}
	including := filepath.Join(home, "including")
	write(t, including, "Include "+path+"\n")
	if _, err := sshconfig.Load(home, sshconfig.Source{Path: including}); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Errorf("an included file that others may write: error %v", err)
	}
	if os.Getuid() == 0 {
		if err := errors.Join(os.Chmod(path, 0o600), os.Chown(path, 65534, -1)); err != nil {
			t.Fatal(err)
		}
		if _, err := sshconfig.Load(home, sshconfig.Source{Path: path, Private: true}); err == nil || !strings.Contains(err.Error(), "another user") {
			t.Errorf("a file of another user: error %v", err)
		}
	}
	if _, err := sshconfig.Load(home, sshconfig.Source{Path: filepath.Join(home, "none")}); err == nil {
		t.Error("a missing file is no error")
	}
	if _, err := sshconfig.Load(home, sshconfig.Source{Path: filepath.Join(home, "none"), Optional: true}); err != nil {
		t.Errorf("a missing optional file: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("Host *\n Port 1\nMatch host a user b\n User c\n", "a")
	f.Add("Match exec x\nHost=\"a b\" !c\n", "a b")
	f.Add("a 'b\\' c' \\\" #d\n", "")
	home := f.TempDir()
	f.Fuzz(func(t *testing.T, text, host string) {
		if strings.Contains(strings.ToLower(text), "include") {
			return // it could name any file of this machine
		}
		path := filepath.Join(t.TempDir(), "config")
		write(t, path, text)
		c, err := sshconfig.Load(home, sshconfig.Source{Path: path, Dir: home})
		if err != nil {
			return
		}
		s := c.Resolve(sshconfig.Query{Host: host})
		if v, ok := s.Get("port"); ok && (len(v.Args) == 0 || v.Pos == "") {
			t.Fatalf("a value without words or place: %#v", v)
		}
	})
}

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*c", "abbc", true},
		{"a*c", "abcd", false}, {"?", "", false}, {"?", "a", true}, {"a?c", "abc", true}, {"**a**", "bab", true},
		{"10.0.*.1", "10.0.33.1", true}, {"a.c", "abc", false}, {"*a*b", "aab", true}, {"*ab", "aab", true},
	} {
		if got := sshconfig.Match(tc.pattern, tc.s); got != tc.want {
			t.Errorf("Match(%q, %q) = %v", tc.pattern, tc.s, got)
		}
	}
}
