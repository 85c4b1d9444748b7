package e2e

import (
	"strings"
	"testing"
	"time"

	"spore/internal/chaos"
	"spore/internal/lab/labtest"
)

// TestChaos has each kind of fault strike a detached fleet once, for some seconds; make chaos does
// so for longer and again and again.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two minutes")
	}
	t.Parallel()
	g := enter(t)
	l := labtest.For(t, 5, chaos.LabOptions())
	s := &scene{T: t, ground: g}
	s.furnish()
	report, err := chaos.Run(t.Context(), chaos.Options{
		Lab: l, Binary: g.binary, Dir: s.graphs, Out: lines{t},
		Seed: 1, Faults: len(chaos.Kinds), Duration: 5 * time.Minute,
		Least: 4 * time.Second, Link: 8 * time.Second, Pause: 5 * time.Second,
		Within: 90 * time.Second, MemberTimeout: 30 * time.Second,
	})
	t.Logf("\n%s", report)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Violations) > 0 {
		t.Errorf("%d violations", len(report.Violations))
	}
	for _, kind := range chaos.Kinds {
		if len(report.Faults[kind]) != 1 {
			t.Errorf("%s: all was well after it %d times, want once", kind, len(report.Faults[kind]))
		}
	}
	if n := report.Deploys.Acknowledged; n < len(chaos.Kinds) || report.Drifts != len(chaos.Kinds) {
		t.Errorf("%d deploys were acknowledged and %d drifts repaired, where each fault has at least one", n, report.Drifts)
	}
}

// lines are written to a test's log.
type lines struct{ t *testing.T }

func (l lines) Write(text []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(text), "\n"))
	return len(text), nil
}
