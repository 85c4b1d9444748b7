package manifest

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"

	"spore/engine"
)

// maxDiagnostics is how many are kept of one file: nobody reads more, and a file made to have many
// must not fill the memory.
const maxDiagnostics = 1000

// A position is a place in the text, both numbers from 1; the zero position is the file as a whole.
type position struct{ line, column int }

func at(n *yaml.Node) position { return position{n.Line, n.Column} }

func (p position) before(q position) bool {
	return p.line < q.line || p.line == q.line && p.column < q.column
}

// A report gathers what is to be said of one file.
type report struct {
	file    string
	kinds   engine.Kinds
	lines   []string
	cut     map[int]int // by line, the column from which on it holds a secret
	found   Diagnostics
	dropped int
	guesses int // how many comparisons are still to be spent on "did you mean"
}

func newReport(file string, text []byte, kinds engine.Kinds) *report {
	return &report{
		file: file, kinds: kinds, lines: splitLines(text), cut: map[int]int{}, guesses: 20_000,
	}
}

// fail reports a mistake, and what to do about it.
func (r *report) fail(p position, hint, format string, args ...any) {
	r.add(Diagnostic{Message: fmt.Sprintf(format, args...), Hint: hint}, p)
}

// warn reports what is accepted but has not the effect one might think.
func (r *report) warn(p position, hint, format string, args ...any) {
	r.add(Diagnostic{Message: fmt.Sprintf(format, args...), Hint: hint, Warning: true}, p)
}

func (r *report) add(d Diagnostic, p position) {
	if len(r.found) == maxDiagnostics {
		r.dropped++
		return
	}
	d.File, d.Line, d.Column = r.file, p.line, p.column
	d.Message, d.Hint = showable(d.Message), showable(d.Hint)
	d.Source, d.Caret = r.excerpt(p)
	r.found = append(r.found, d)
}

// diagnostics returns what was reported, in the order of the lines.
func (r *report) diagnostics() Diagnostics {
	slices.SortStableFunc(r.found, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if r.dropped > 0 {
		more := Diagnostic{File: r.file, Message: fmt.Sprintf("and %d more, not shown", r.dropped)}
		return append(r.found, more)
	}
	return r.found
}

// excerpt returns the line at p as it may be shown, and the column of it that p means.
func (r *report) excerpt(p position) (line string, caret int) {
	const width = 120
	if p.line < 1 || p.line > len(r.lines) {
		return "", 0
	}
	text, caret := []rune(r.lines[p.line-1]), p.column
	if cut, ok := r.cut[p.line]; ok && cut <= len(text) {
		text = append(text[:cut-1:cut-1], []rune(hidden)...)
	}
	text = []rune(showable(string(text)))
	caret = max(1, min(caret, len(text)+1))
	if caret > width {
		start := caret - width/2
		text, caret = append([]rune("…"), text[start:]...), width/2+1
	}
	if len(text) > width {
		text = append(text[:width:width], '…')
	}
	return string(text), caret
}

const hidden = "********"

var password = regexp.MustCompile(`(://[^\s/@:]*:)[^\s"']*@`)

// showable returns a text for a terminal: without the passwords of URLs, and without characters
// that a terminal would obey instead of show.
func showable(s string) string {
	s = password.ReplaceAllString(s, "${1}"+hidden+"@")
	return strings.Map(func(c rune) rune {
		if c != '\t' && !unicode.IsPrint(c) {
			return unicode.ReplacementChar
		}
		return c
	}, s)
}
