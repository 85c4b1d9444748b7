package view

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"
)

// recap writes the table that ends a run.
func (v *text) recap() {
	if len(v.recaps) == 0 {
		return
	}
	differs := slices.ContainsFunc(v.recaps, func(r Record) bool { return r.Recap.Differs > 0 })
	changed := "CHANGED"
	if differs { // a dry run
		changed = "WOULD CHANGE"
	}
	var counts strings.Builder // all but the last column
	t := tabwriter.NewWriter(&counts, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "HOST\tOK\t%s\tFAILED\tSKIPPED\tSENT\tTIME\t\n", changed)
	for _, r := range v.recaps {
		c := r.Recap
		n := c.Changed
		if differs {
			n = c.Differs
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t\n", Clean(r.Host), c.OK, n, c.Failed, c.Skipped,
			Bytes(c.Sent), c.Took.Round(10*time.Millisecond))
	}
	_ = t.Flush()
	for i, row := range strings.Split(strings.TrimSuffix(counts.String(), "\n"), "\n") {
		last := "STATE"
		if i > 0 {
			last = v.state(v.recaps[i-1].Recap, utf8.RuneCountInString(row))
		}
		fmt.Fprintln(v.o.Out, row+last)
	}
}

// state tells how a run ended on a host, in a line that begins at a column.
func (v *text) state(c *Recap, column int) string {
	s := yellow
	switch c.State {
	case StateConverged:
		s = green
	case StateFailed, StateUnreachable:
		s = red
	}
	words := paint(s, c.State).render(v.o.ColourRecap)
	if c.Error == "" {
		return words
	}
	most := 0
	if v.o.Width > 0 {
		most = max(v.o.Width-column-utf8.RuneCountInString(c.State+": "), leastError)
	}
	return words + ": " + brief(c.Error, most)
}

const leastError = 20 // characters: what is shown of an error however narrow a terminal is

// brief is the first line of an error that was told in full already, cut to most characters if most
// is not 0.
func brief(text string, most int) string {
	text, _, more := strings.Cut(text, "\n")
	runes := []rune(Clean(text))
	if more {
		runes = append(runes, []rune(" …")...)
	}
	if most > 0 && len(runes) > most {
		return string(runes[:most-2]) + " …"
	}
	return string(runes)
}
