package view

import (
	"fmt"
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
	t := tabwriter.NewWriter(v.o.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "HOST\tOK\tCHANGED\tFAILED\tSKIPPED\tSENT\tTIME\tSTATE")
	for _, r := range v.recaps {
		c := r.Recap
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", Clean(r.Host), c.OK, c.Changed, c.Failed, c.Skipped,
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
	words := paint(s, c.State).render(v.o.Colour)
	if c.Error != "" {
		first, _, _ := strings.Cut(c.Error, "\n")
		words += ": " + Clean(first)
	}
	return words
}
