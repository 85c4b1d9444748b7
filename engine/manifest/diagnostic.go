package manifest

import (
	"fmt"
	"strings"
)

// A Diagnostic is one mistake in a graph file, or one thing worth a warning.
type Diagnostic struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`   // from 1; 0 if it is about the file as a whole
	Column  int    `json:"column,omitempty"` // in characters, from 1
	Warning bool   `json:"warning,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`   // what to do
	Source  string `json:"source,omitempty"` // the line, shortened if long, with no secret in it
	Caret   int    `json:"caret,omitempty"`  // the column of Source that is meant, from 1
}

// Position gives file:line:column, or the file alone.
func (d Diagnostic) Position() string {
	if d.Line == 0 {
		return d.File
	}
	return fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column)
}

// String gives the diagnostic in full: position and message, the line, a caret, the hint.
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.Position() + ": ")
	if d.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(d.Message)
	if d.Source != "" {
		b.WriteString("\n    " + d.Source)
		b.WriteString("\n    " + indentTo(d.Source, d.Caret) + "^")
	}
	if d.Hint != "" {
		b.WriteString("\n  " + d.Hint)
	}
	return b.String()
}

// indentTo returns blanks as wide as what stands before the column, its tabs kept.
func indentTo(line string, column int) string {
	var b strings.Builder
	for _, r := range line {
		if column--; column <= 0 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Diagnostics are what is to be said of one or several files, in the order of files and lines. As
// an error they hold at least one mistake, and the warnings beside it.
type Diagnostics []Diagnostic

// Error gives every diagnostic in full, one below the other.
func (ds Diagnostics) Error() string {
	texts := make([]string, len(ds))
	for i, d := range ds {
		texts[i] = d.String()
	}
	return strings.Join(texts, "\n")
}

// Failed reports whether there is a mistake among them, not warnings alone.
func (ds Diagnostics) Failed() bool {
	for _, d := range ds {
		if !d.Warning {
			return true
		}
	}
	return false
}
