package chaos

import (
	"fmt"
	"strings"
	"time"
)

// A Report is what came of a campaign.
type Report struct {
	Seed       uint64
	Hosts      int
	Members    int
	Took       time.Duration
	Faults     map[Kind][]time.Duration // from the end of each to the moment when all was well again
	Deploys    Deploys
	Drifts     int // that were repaired
	LostWrites int
	Violations []string // lost writes included
}

// String is the report as a table.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d hosts, %d of them members, %v\n\n", r.Seed, r.Hosts, r.Members, r.Took.Round(time.Second))
	row := func(kind string, times []time.Duration) {
		fmt.Fprintf(&b, "%-20s %6d %9s %9s\n", kind, len(times), seconds(median(times)), seconds(longest(times)))
	}
	fmt.Fprintf(&b, "%-20s %6s %9s %9s  from its end until all was well\n", "fault", "times", "median", "longest")
	var every []time.Duration
	for _, kind := range Kinds {
		every = append(every, r.Faults[kind]...)
		if len(r.Faults[kind]) > 0 {
			row(string(kind), r.Faults[kind])
		}
	}
	row("all", every)
	d := r.Deploys
	fmt.Fprintf(&b, "\ndeploys acknowledged  %d (%d attempts were not, and were repeated)\n", d.Acknowledged, d.Refused)
	fmt.Fprintf(&b, "wait for a deploy     median %s, longest %s\n", seconds(d.Median), seconds(d.Longest))
	fmt.Fprintf(&b, "store unavailable     %s at most, which is the longest wait less the median\n", seconds(d.Unavailable()))
	fmt.Fprintf(&b, "drifts repaired       %d\n", r.Drifts)
	fmt.Fprintf(&b, "lost writes           %d\n", r.LostWrites)
	fmt.Fprintf(&b, "violations            %d\n", len(r.Violations))
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "  %s\n", v)
	}
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
