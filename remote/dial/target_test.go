package dial_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"spore/remote/dial"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		in         string
		want       dial.Target
		text, name string
	}{
		{"web1", dial.Target{Host: "web1"}, "web1", "web1"},
		{"web1:22", dial.Target{Host: "web1", Port: "22"}, "web1:22", "web1"},
		{"web1:2222", dial.Target{Host: "web1", Port: "2222"}, "web1:2222", "web1:2222"},
		{"web1:0022", dial.Target{Host: "web1", Port: "22"}, "web1:22", "web1"},
		{"root@web1", dial.Target{User: "root", Host: "web1"}, "root@web1", "web1"},
		{"me@corp@web1:2222", dial.Target{User: "me@corp", Host: "web1", Port: "2222"}, "me@corp@web1:2222", "web1:2222"},
		{"192.0.2.1", dial.Target{Host: "192.0.2.1"}, "192.0.2.1", "192.0.2.1"},
		{"::1", dial.Target{Host: "::1"}, "[::1]", "::1"},
		{"root@::1", dial.Target{User: "root", Host: "::1"}, "root@[::1]", "::1"},
		{"[::1]", dial.Target{Host: "::1"}, "[::1]", "::1"},
		{"[::1]:2222", dial.Target{Host: "::1", Port: "2222"}, "[::1]:2222", "[::1]:2222"},
		{"fe80::1%eth0", dial.Target{Host: "fe80::1%eth0"}, "[fe80::1%eth0]", "fe80::1%eth0"},
		{"ssh://web1", dial.Target{Host: "web1"}, "web1", "web1"},
		{"SSH://web1/", dial.Target{Host: "web1"}, "web1", "web1"},
		{"ssh://root@web1:22", dial.Target{User: "root", Host: "web1", Port: "22"}, "root@web1:22", "web1"},
		{"ssh://root:pw@web1", dial.Target{User: "root", Host: "web1", Password: "pw"}, "root@web1", "web1"},
		{"ssh://root:p%40%3A%25@web1:2222", dial.Target{User: "root", Host: "web1", Port: "2222", Password: "p@:%"}, "root@web1:2222", "web1:2222"},
		{"ssh://root:a:b/c?d#e@f@web1", dial.Target{User: "root", Host: "web1", Password: "a:b/c?d#e@f"}, "root@web1", "web1"},
		{"ssh://a%3Ab:pw@[fe80::1%25eth0]:2222", dial.Target{User: "a:b", Host: "fe80::1%eth0", Port: "2222", Password: "pw"}, "ssh://a%3Ab@[fe80::1%25eth0]:2222", "[fe80::1%eth0]:2222"},
		{"ssh://root@[2001:db8::1]", dial.Target{User: "root", Host: "2001:db8::1"}, "root@[2001:db8::1]", "2001:db8::1"},
	} {
		got, err := dial.Parse(tc.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", tc.in, err)
			continue
		}
		if got != tc.want {
			t.Errorf("Parse(%q) = %#v, want %#v", tc.in, got, tc.want)
		}
		if got.String() != tc.text || got.Name() != tc.name {
			t.Errorf("Parse(%q) prints as %q and is named %q, want %q and %q", tc.in, got, got.Name(), tc.text, tc.name)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "host is missing",
		"root@":                    "host is missing",
		"@web1":                    "name a user",
		":22":                      "host is missing",
		"web1:":                    "port",
		"web1:ssh":                 "port",
		"web1:0":                   "port",
		"web1:65536":               "port",
		"web1:22:22":               "colons",
		"[::1":                     "bracket",
		"[::1]22":                  "bracket",
		"[web1]:22":                "not an IPv6 address",
		"http://web1":              `"http" is not supported`,
		"root:SECRET@web1":         "ssh://user:password@host",
		"ssh://root:SECRET%zz@web": "percent-escape",
		"ssh://root:SECRET@":       "host is missing",
		"ssh://root:SECRET@we b":   "character",
		"ssh://web1/path":          "character",
		"-oProxyCommand=x":         "character",
		"-l@web1":                  "character",
		"web1;reboot":              "character",
		"$(x)@web1":                "character",
		"we\nb":                    "character",
	} {
		got, err := dial.Parse(in)
		if err == nil {
			t.Errorf("Parse(%q) = %#v, want an error", in, got)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("Parse(%q): %v, want it to say %q and no password", in, err, want)
		}
		if got != (dial.Target{}) {
			t.Errorf("Parse(%q) returned %#v beside its error", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"web1", "root@web1:22", "[::1]:22", "ssh://a%3Ab:p%40@[fe80::1%25eth0]:2222/", "::1", "a@b@c", "ssh://a:@b", "%41@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := dial.Parse(s)
		if err != nil {
			return
		}
		if a.Host == "" || strings.HasPrefix(a.Host, "-") || strings.HasPrefix(a.User, "-") {
			t.Fatalf("Parse(%q) = %#v", s, a)
		}
		b, err := dial.Parse(a.String())
		if err != nil {
			t.Fatalf("Parse(%q) prints as %q, which is refused: %v", s, a, err)
		}
		a.Password = ""
		if a != b {
			t.Fatalf("Parse(%q) = %#v, printed and read again %#v", s, a, b)
		}
	})
}

func TestSecretStaysSecret(t *testing.T) {
	target, err := dial.Parse("ssh://root:hunter2@web1")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, target.Password)
		fmt.Fprintf(&out, verb, &target)
		fmt.Fprintf(&out, verb, struct{ S []dial.Secret }{[]dial.Secret{target.Password}})
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "secret", target.Password, "target", target, "all", struct{ S dial.Secret }{target.Password})
	}
	if err := json.NewEncoder(&out).Encode([]any{target.Password, target}); err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2")} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("the password shows as %s in %s", leak, out.String())
		}
	}
	if target.Password.Reveal() != "hunter2" {
		t.Errorf("Reveal gives %q", target.Password.Reveal())
	}
}
