package cluster

import (
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// A style is the parameter of an ANSI "select graphic rendition" sequence.
type style string

const (
	plain  style = ""
	bold   style = "1"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// A cell is a text of a table. What comes from hosts has been cleaned by then.
type cell struct {
	text  string
	style style
}

func (c cell) render(colour bool) string {
	if !colour || c.style == plain || c.text == "" {
		return c.text
	}
	return "\x1b[" + string(c.style) + "m" + c.text + "\x1b[0m"
}

// A table aligns its columns by the room that their texts take on a terminal.
type table [][]cell

// row adds a row of plain cells.
func (t *table) row(texts ...string) {
	cells := make([]cell, len(texts))
	for i, text := range texts {
		cells[i].text = text
	}
	*t = append(*t, cells)
}

// write writes the rows, with two spaces between columns and none at the end of a line.
func (t table) write(w io.Writer, colour bool) error {
	var widths []int
	for _, row := range t {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(c.text))
		}
	}
	var b strings.Builder
	for _, row := range t {
		gap := 0
		for i, c := range row {
			if c.text != "" {
				b.WriteString(strings.Repeat(" ", gap))
				b.WriteString(c.render(colour))
				gap = -columns(c.text)
			}
			gap += widths[i] + 2
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// columns is how many of a terminal's columns s takes.
func columns(s string) (n int) {
	for _, r := range s {
		n += columnsOf(r)
	}
	return n
}

func columnsOf(r rune) int {
	switch kind := width.LookupRune(r).Kind(); {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Cut returns as much of a line as so many of a terminal's columns hold, with all of its colours; all
// of it if that is 0. One column stays free: a terminal clears the last when the rest of a line is.
func Cut(line string, most int) string {
	if most == 0 || columns(line) < most { // which counts colours, too, and so is never too few
		return line
	}
	var b strings.Builder
	n, colour := 0, false
	for _, r := range line {
		switch {
		case r == '\x1b':
			colour = true
		case !colour:
			if n += columnsOf(r); n >= most {
				continue
			}
		case r == 'm':
			colour = false
			b.WriteRune(r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
