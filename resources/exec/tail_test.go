package exec

import (
	"fmt"
	"strings"
	"testing"
)

func TestTailKeepsTheEnd(t *testing.T) {
	var out tail
	for i := range 100_000 {
		fmt.Fprintf(&out, "line %d\n", i)
	}
	if held := cap(out.buf); held > 4*keepBytes {
		t.Errorf("holds %d bytes", held)
	}
	text := out.String()
	if len(text) > keepBytes+len("…") || !strings.HasPrefix(text, "…") || !strings.HasSuffix(text, "\nline 99999") {
		t.Errorf("got %d bytes: %.20q to %q", len(text), text, text[len(text)-20:])
	}
	lines := strings.Split(out.lastLines(), "\n")
	if len(lines) != keepLines+1 || lines[0] != "…" || lines[1] != "line 99980" || lines[20] != "line 99999" {
		t.Errorf("got %q", lines)
	}
}

func TestTailOfLittle(t *testing.T) {
	var out tail
	if out.String() != "" || out.lastLines() != "" {
		t.Errorf("got %q of nothing", out.String())
	}
	fmt.Fprint(&out, "a\xff\n\nb\r\n")
	if got, want := out.lastLines(), "a�\n\nb"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTailTakesMuchAtOnce(t *testing.T) {
	var out tail
	fmt.Fprint(&out, strings.Repeat("x", 3*keepBytes)+"end")
	if text := out.String(); len(text) != keepBytes+len("…") || !strings.HasSuffix(text, "xend") {
		t.Errorf("got %d bytes", len(text))
	}
}

func TestLines(t *testing.T) {
	n := 0
	w := lines{func() { n++ }}
	for _, part := range []string{"a", "b\nc", "\n\n", "d"} {
		fmt.Fprint(w, part)
	}
	if n != 2 {
		t.Errorf("told %d times, want 2: of b and what came with it", n)
	}
}
