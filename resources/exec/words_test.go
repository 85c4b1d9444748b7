package exec

import (
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
	}{
		{"echo hello world", []string{"echo", "hello", "world"}},
		{"  a\tb \n c  ", []string{"a", "b", "c"}},
		{`echo 'a  b' "c 'd'" e"f"'g'`, []string{"echo", "a  b", "c 'd'", "efg"}},
		{`echo '' "" x`, []string{"echo", "", "", "x"}},
		{`echo a\ b \'c \\ \x`, []string{"echo", "a b", "'c", `\`, "x"}},
		{`echo "a\"b\\c\$d\e" 'f\'`, []string{"echo", `a"b\c$d\e`, `f\`}},
		{"echo a\\\nb \"c\\\nd\"", []string{"echo", "ab", "cd"}},
		{`echo $HOME *.go | cat > x; # y`, []string{"echo", "$HOME", "*.go", "|", "cat", ">", "x;", "#", "y"}},
		{"ünï 'cö dé'", []string{"ünï", "cö dé"}},
	} {
		if got, err := split(c.line); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("split %q: got %q, %v, want %q", c.line, got, err, c.want)
		}
	}
	for _, line := range []string{"", " \t", "echo 'a", `echo "a`, `echo "a\"`, `echo \`, "''", "'' x"} {
		if got, err := split(line); err == nil {
			t.Errorf("split %q: got %q, want an error", line, got)
		}
	}
}

// Words that are quoted are read back as they were.
func FuzzSplit(f *testing.F) {
	f.Add("a", "b c", `'"\`)
	f.Add("", "\n", "$x")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		want := []string{"program", strings.ToValidUTF8(a, "?"), strings.ToValidUTF8(b, "?"), strings.ToValidUTF8(c, "?")}
		single, double, bare := "program", "program", "program"
		for _, word := range want[1:] {
			single += " '" + strings.ReplaceAll(word, "'", `'\''`) + "'"
			double += ` "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
			bare += " ''"
			for _, r := range word {
				if r == '\n' {
					bare += "'\n'"
				} else {
					bare += `\` + string(r)
				}
			}
		}
		for _, line := range []string{single, double, bare} {
			if got, err := split(line); err != nil || !slices.Equal(got, want) {
				t.Errorf("split %q: got %q, %v, want %q", line, got, err, want)
			}
		}
		_, _ = split(a) // anything may be asked for
	})
}
