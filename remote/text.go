package remote

import (
	"bufio"
	"io"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	maxLine  = 1 << 20  // bytes of one line of an agent's output
	maxClean = 4 << 10  // bytes of one text of a host that are shown
	maxError = 64 << 10 // bytes of an error that are shown
	tailSize = 20       // lines of an agent's stderr that are kept for the error
)

// escapes matches a terminal's control sequences: CSI, then the strings that OSC, DCS, SOS, PM
// and APC begin, then the two-byte ones.
var escapes = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[ -/]*[0-~]?")

// Clean makes a text that came from a host safe to show on a terminal in one line: escape
// sequences go, every other control or invisible formatting character becomes a space, and what
// is longer than 4 KiB is cut.
func Clean(s string) string { return cleanTo(s, maxClean) }

func cleanTo(s string, limit int) string {
	cut := false
	if len(s) > limit {
		s, cut = s[:limit], true
	}
	s = escapes.ReplaceAllString(s, "")
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError {
			return '?'
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if cut {
		s += "…"
	}
	return s
}

// eachLine calls emit for every line of r, without its end, until r ends. A line that is longer
// than limit is cut.
func eachLine(r io.Reader, limit int, emit func(string)) error {
	br := bufio.NewReaderSize(r, 32<<10)
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		line = append(line, part[:min(len(part), limit-len(line))]...)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err == nil || len(line) > 0 {
			emit(strings.TrimRight(string(line), "\r\n"))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		line = line[:0]
	}
}

// A tail keeps the last lines of a stream.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == tailSize {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, Clean(line))
}

func (t *tail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = nil
}

func (t *tail) text() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lines...)
}
