package remote

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"testing/quick"
)

// shells are those of this machine that must read a quoted line the same way; sh is required.
func shells(t testing.TB) []string {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Fatal(err)
	}
	found := []string{"sh"}
	for _, s := range []string{"dash", "bash", "ksh", "zsh", "csh", "tcsh", "fish"} {
		if _, err := exec.LookPath(s); err == nil {
			found = append(found, s)
		}
	}
	return found
}

// split has a shell split the quoted words and print each with a NUL after it.
func split(t testing.TB, shell string, words []string) []string {
	t.Helper()
	line, err := Quote(append([]string{"printf", `%s\0`}, words...)...)
	if err != nil {
		t.Fatalf("Quote(%q): %v", words, err)
	}
	out, err := exec.Command(shell, "-c", "exec "+line).Output()
	if err != nil {
		t.Fatalf("%s -c %s: %v", shell, line, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func same(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

var awkward = []string{
	"plain", "", "a b", "it's", `back\slash`, `\`, `'`, `''`, `"$HOME"`, "$(id)", "`id`", "a;b&c|d", "!x", "a!!b",
	"~", "*", "[a]?", "#no", "-n", "--x=y", "a\tb", "{a,b}", "é…\xff", "%s", "^", "a=b", `a\'b\\!`, "=ls",
}

func TestQuoteRoundTrip(t *testing.T) {
	for _, shell := range shells(t) {
		if got := split(t, shell, awkward); !same(got, awkward) {
			t.Errorf("%s read back %q, want %q", shell, got, awkward)
		}
	}
}

func TestQuoteQuick(t *testing.T) {
	const alphabet = "ab '\"\\$`!*?[]{}()<>|&;#~=%^\t-\x7f\xc3\xa9\x01"
	word := func(raw []byte) string {
		b := make([]byte, len(raw))
		for i, c := range raw {
			b[i] = alphabet[int(c)%len(alphabet)]
		}
		return string(b)
	}
	check := func(a, b, c []byte) bool {
		words := []string{word(a), word(b), word(c)}
		return same(split(t, "sh", words), words)
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
}

func FuzzQuote(f *testing.F) {
	for _, w := range awkward {
		f.Add(w)
	}
	f.Add("two\nlines")
	f.Fuzz(func(t *testing.T, w string) {
		if strings.ContainsAny(w, "\n\r\x00") {
			if _, err := Quote(w); err == nil {
				t.Errorf("Quote(%q) gave no error", w)
			}
			return
		}
		if got := split(t, "sh", []string{w}); !same(got, []string{w}) {
			t.Errorf("sh read back %q, want %q", got, w)
		}
	})
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain é":                            "plain é",
		"\x1b[31mred\x1b[0m":                 "red",
		"\x1b]0;title\x07after":              "after",
		"\x1b]8;;http://x\x1b\\link\x1b]8;;": "link",
		"a\r\nb\tc\x00d":                     "a  b c d",
		"bi\u202edi":                         "bi di",
		"bad\xffbyte":                        "bad?byte",
		"\x9b31mx":                           "?31mx",
		"\u009b31mx":                         "31mx",
		"\x1bPq\x1b\\x":                      "x",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
	host := errors.New("it says \x1b[2J\nhello")
	if got, want := atStep(StepProbe, host).Error(), "probe: it says  hello"; got != want {
		t.Errorf("the error reads %q, want %q", got, want)
	}
	if got := Clean(strings.Repeat("x", 10<<20)); len(got) > maxClean+len("…") {
		t.Errorf("Clean kept %d bytes", len(got))
	}
}

func TestEachLine(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	var got []string
	err := eachLine(strings.NewReader("a\r\n\n"+long+"\nlast"), 64<<10, func(s string) { got = append(got, s) })
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "", long[:64<<10], "last"}; !same(got, want) {
		t.Errorf("got %d lines, want %d", len(got), len(want))
	}
}
