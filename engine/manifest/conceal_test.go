package manifest

import (
	"bytes"
	"strings"
	"testing"
)

func TestPasswordsDoNotTravel(t *testing.T) {
	const rest = "\nresources:\n  file:\n  - name: /a\n    content: \"ssh://root:pass@h\"\n"
	for _, c := range []struct{ remote, want string }{
		{"remote: ssh://root:pass@h", "remote: ssh://root:****@h"},
		{"remote: 'ssh://root:pass@h' # of ssh://root:", "remote: 'ssh://root:****@h' # of ssh://root:"},
		{`remote: "ssh://root:pass@h"`, `remote: "ssh://root:****@h"`},
		{"remote:\r\n- ssh://root:pass@h\r\n- ssh://é:p%40s:s@[::1]:22", "remote:\r\n- ssh://root:****@h\r\n- ssh://é:*******@[::1]:22"},
		{"remote: [ ssh://root:pass@h, 'ssh://root:word@g' ]", "remote: [ ssh://root:****@h, 'ssh://root:****@g' ]"},
		{"\ufeffremote: SSH://root:päss@h", "\ufeffremote: SSH://root:*****@h"},
		{"remote: ssh://root:p@ss@web[01:03]", "remote: ssh://root:****@web[01:03]"},
		{"remote: [root@h, '[::1]:22', 'fe80::1', 'ssh://u@h:22']", "remote: [root@h, '[::1]:22', 'fe80::1', 'ssh://u@h:22']"},
	} {
		m, err := Parse("a.yaml", []byte(c.remote+rest), options())
		if err != nil {
			t.Errorf("%s: %v", c.remote, err)
			continue
		}
		if got := string(m.Travels); got != c.want+rest {
			t.Errorf("%q travels as %q", c.remote, got)
		}
		if string(m.Text) != c.remote+rest {
			t.Errorf("%q: the text itself has changed", c.remote)
		}
		again, err := Parse("a.yaml", m.Travels, options())
		if err != nil {
			t.Errorf("%q cannot be read: %v", m.Travels, err)
		} else if len(again.Remotes) != len(m.Remotes) || !bytes.Equal(again.Travels, m.Travels) || again.Digest() != m.Digest() {
			t.Errorf("%q is read as another graph", m.Travels)
		}
	}
}

func TestAPasswordThatCannotBeFound(t *testing.T) {
	for _, remote := range []string{
		`remote: "ssh://root:p\x61ss@h" # ssh://root:pass@h`,
		"remote: >-\n  ssh://root:pass@h",
		"remote: 'ssh://root:it''s@h'",
		"remote: &r ssh://root:pass@h",
	} {
		m, err := Parse("a.yaml", []byte(remote+"\n"), options())
		if err == nil && !bytes.Contains(m.Travels, []byte(":****@h")) || err != nil && !strings.Contains(err.Error(), "password") {
			t.Errorf("%q: %v", remote, err)
		}
	}
}
