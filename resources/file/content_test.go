package file

import (
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestChanges(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/f"
	tests := []struct {
		name, have, want string
		mode             fs.FileMode
		change           string
		diff             string // what it contains
	}{
		{"text", "a\nb\n", "a\nc\nd\n", 0o644, "content: 4 B → 6 B", "@@ -1,2 +1,3 @@\n a\n-b\n+c\n+d\n"},
		{"same length", "abcd", "abxd", 0o644, "content: 4 B → 4 B, from byte 3 on", "+abxd"},
		{"binary", "a\x00", "a\x00b", 0o644, "content: binary, 2 B → binary, 3 B", ""},
		{"private", "old secret", "secret", 0o600, "content: 10 B → 6 B", ""},
		{"long", strings.Repeat("a\n", 1<<20), "a\n", 0o644, "content: 2048 KiB → 2 B", ""},
		{"many lines", "", strings.Repeat("line\n", 10000), 0o644, "content: 0 B → 48 KiB", "more lines)\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			must(t, os.WriteFile(path, []byte(test.have), 0o600), os.Chmod(path, test.mode))
			changes := check(t, open(t, Spec{Path: path, Content: &test.want}))
			if len(changes) != 1 || changes[0].String() != test.change {
				t.Fatalf("changes: %v", changes)
			}
			diff := changes[0].Diff
			if !strings.Contains(diff, test.diff) || (diff == "") != (test.diff == "") || len(diff) > longestDiff+100 {
				t.Errorf("diff: %s", diff)
			}
		})
	}
	must(t, os.Remove(path))
	changes := check(t, open(t, Spec{Path: path, Content: ptr("new\n")}))
	if len(changes) != 1 || changes[0].String() != "state: absent → exists" || !strings.Contains(changes[0].Diff, "+new") {
		t.Errorf("changes: %+v", changes)
	}
	changes = check(t, open(t, Spec{Path: path, Content: ptr("new\n"), Mode: "0600"}))
	if len(changes) != 1 || changes[0].Diff != "" {
		t.Errorf("changes: %+v", changes)
	}
}

func TestLongContent(t *testing.T) {
	path := t.TempDir() + "/f"
	long := strings.Repeat("0123456789", 50_000)
	for _, content := range []string{long, long + "x", "y" + long, long[:chunk], long[:2*chunk], long[:chunk] + "z"} {
		converge(t, Spec{Path: path, Content: &content})
		if contentOf(t, path) != content {
			t.Errorf("%d bytes were not written as they are", len(content))
		}
	}
}
