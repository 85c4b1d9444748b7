package view

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// recap writes the table that ends a run. The last column alone is coloured: a tabwriter counts
// the bytes of an escape sequence as width.
func (v *text) recap() {
	if len(v.recaps) == 0 {
		return
	}
	differs := slices.ContainsFunc(v.recaps, func(r Record) bool { return r.Recap.Differs > 0 })
	changed := "CHANGED"
	if differs { // a dry run
		changed = "WOULD CHANGE"
	}
	t := tabwriter.NewWriter(v.o.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "HOST\tOK\t%s\tFAILED\tSKIPPED\tSENT\tTIME\tSTATE\n", changed)
	for _, r := range v.recaps {
		c := r.Recap
		n := c.Changed
		if differs {
			n = c.Differs
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", Clean(r.Host), c.OK, n, c.Failed, c.Skipped,
			Bytes(c.Sent), c.Took.Round(10*time.Millisecond), v.state(c))
	}
	_ = t.Flush()
}

func (v *text) state(c *Recap) string {
	s := yellow
	switch c.State {
	case StateConverged:
		s = green
	case StateFailed, StateUnreachable:
		s = red
	}
	words := paint(s, c.State).render(v.o.ColourRecap)
	if c.Error != "" {
		words += ": " + brief(c.Error)
	}
	return words
}

// brief is the beginning of an error that was told in full already.
func brief(text string) string {
	const most = 80 // characters
	text, _, more := strings.Cut(text, "\n")
	runes := []rune(Clean(text))
	if len(runes) > most {
		runes, more = runes[:most], true
	}
	if more {
		return string(runes) + " …"
	}
	return string(runes)
}
