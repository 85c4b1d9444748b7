package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// A row is one line of the result. met is empty where there is no target.
type row struct{ figure, ours, other, ratio, target, met string }

type table []row

func (t *table) add(r row) { *t = append(*t, r) }

// atMost adds a row whose ratio may be limit at most.
func (t *table) atMost(figure, ours, other string, ratio, limit float64) {
	t.add(row{figure, ours, other, fmt.Sprintf("%.2f", ratio), fmt.Sprintf("≤ %g", limit), word(ratio <= limit)})
}

// atLeast adds a row of the ratio of each round, whose median must be limit at least.
func (t *table) atLeast(figure, ours, other string, ratios []float64, limit float64) {
	sorted := slices.Sorted(slices.Values(ratios))
	median := sorted[(len(sorted)-1)/2]
	text := fmt.Sprintf("%.1f (%.1f–%.1f)", median, sorted[0], sorted[len(sorted)-1])
	t.add(row{figure, ours, other, text, fmt.Sprintf("≥ %g", limit), word(median >= limit)})
}

// below adds a row of a figure that must be below the limit; both are in the given unit.
func (t *table) below(figure, ours, unit string, value, limit float64) {
	t.add(row{figure, ours, "–", fmt.Sprintf("%.2f", value/limit), fmt.Sprintf("< %g %s", limit, unit), word(value < limit)})
}

// note adds a row without a target.
func (t *table) note(figure, ours, other, ratio string) {
	t.add(row{figure: figure, ours: ours, other: other, ratio: ratio, target: "–", met: "–"})
}

func word(met bool) string {
	if met {
		return "yes"
	}
	return "NO"
}

func (t table) print(w io.Writer) {
	slices.SortStableFunc(t, func(a, b row) int { return strings.Compare(a.figure[:1], b.figure[:1]) })
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "FIGURE\tSPORE\tOTHER\tRATIO\tTARGET\tMET")
	for _, r := range t {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", r.figure, r.ours, r.other, r.ratio, r.target, r.met)
	}
	tw.Flush()
}
