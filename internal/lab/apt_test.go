package lab

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMirror(t *testing.T) {
	const deb822 = `Types: deb deb-src
# a comment in the middle
URIs: http://one.example/debian
 http://two.example/debian
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"nothing", nil, ""},
		{"one line", map[string]string{"sources.list": "deb http://m.example/debian bookworm main contrib\n"}, "http://m.example/debian"},
		{"options", map[string]string{"sources.list": "deb [ arch=amd64 signed-by=/k ] https://m.example/d bookworm main\n"}, "https://m.example/d"},
		{"commented out", map[string]string{"sources.list": "# deb http://m.example/debian bookworm main\n"}, ""},
		{"sources only", map[string]string{"sources.list": "deb-src http://m.example/debian bookworm main\n"}, ""},
		{"another suite first", map[string]string{
			"sources.list":           "deb http://sec.example/debian-security bookworm-security main\n",
			"sources.list.d/a.list":  "deb http://other.example/ubuntu jammy main\n",
			"sources.list.d/b.list":  "deb cdrom:[Debian]/ bookworm main\ndeb http://third.example/x bookworm contrib\n",
			"sources.list.d/c.list":  "deb\thttp://right.example/debian\tbookworm\tmain # why\n",
			"sources.list.d/d.other": "deb http://wrong.example/debian bookworm main\n",
		}, "http://right.example/debian"},
		{"stanza", map[string]string{"sources.list.d/debian.sources": deb822}, "http://one.example/debian"},
		{"disabled stanza", map[string]string{"sources.list.d/debian.sources": "Enabled: no\n" + deb822}, ""},
		{"second stanza", map[string]string{"sources.list.d/x.sources": "Types: deb\nURIs: http://n.example\nSuites: nodistro\nComponents: main\n\n\n" + deb822}, "http://one.example/debian"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			etc := t.TempDir()
			for path, content := range tt.files {
				path = filepath.Join(etc, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := mirror(aptSources(etc), "bookworm"); got != tt.want {
				t.Errorf("mirror = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMirrorPasswordIsNotShown(t *testing.T) {
	if got := redacted("https://me:secret@m.example/debian"); got != "https://m.example/debian" {
		t.Errorf("redacted = %s", got)
	}
}
