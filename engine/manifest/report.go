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

// maxDiagnostics is how many mistakes, and how many warnings, are kept of one file: nobody reads
// more, and a file made to have many must not fill the memory.
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
	count   map[bool]int // of mistakes and of warnings, those beyond the limit included
	guesses int          // how many comparisons are still to be spent on "did you mean"
}

func newReport(file string, text []byte, kinds engine.Kinds) *report {
	return &report{
		file: file, kinds: kinds, lines: splitLines(text), cut: map[int]int{},
		count: map[bool]int{}, guesses: 20_000,
	}
}

// fail reports a mistake, and what to do about it.
func (r *report) fail(p position, hint, format string, args ...any) {
	if !r.full(false) {
		r.add(Diagnostic{Message: fmt.Sprintf(format, args...), Hint: hint}, p)
	}
}

// warn reports what is accepted but has not the effect one might think.
func (r *report) warn(p position, hint, format string, args ...any) {
	if !r.full(true) {
		r.add(Diagnostic{Message: fmt.Sprintf(format, args...), Hint: hint, Warning: true}, p)
	}
}

func (r *report) add(d Diagnostic, p position) {
	const longest = 1000 // characters of a message
	d.File, d.Line, d.Column = r.file, p.line, p.column
	d.Message, d.Hint = clip(showable(d.Message), longest), clip(showable(d.Hint), longest)
	d.Source, d.Caret = r.excerpt(p)
	r.found = append(r.found, d)
}

// full counts another diagnostic, and reports whether there are too many of its sort already.
func (r *report) full(warning bool) bool {
	r.count[warning]++
	return r.count[warning] > maxDiagnostics
}

// diagnostics returns what was reported, in the order of the lines.
func (r *report) diagnostics() Diagnostics {
	found := slices.Clone(r.found)
	slices.SortStableFunc(found, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	for warning, n := range r.count {
		if n > maxDiagnostics {
			found = append(found, Diagnostic{
				File: r.file, Warning: warning, Message: fmt.Sprintf("and %d more, not shown", n-maxDiagnostics),
			})
		}
	}
	return found
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
	caret = max(1, min(caret, len(text)+1))
	caret = len([]rune(showable(string(text[:caret-1])))) + 1 // passwords before it may be hidden
	text = []rune(showable(string(text)))
	caret = min(caret, len(text)+1)
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
		switch {
		case c == '\n':
			return ' '
		case c != '\t' && !unicode.IsPrint(c):
			return unicode.ReplacementChar
		}
		return c
	}, s)
}
