package chaos

import (
	"iter"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"
)

var testLimits = Limits{
	Hosts: []string{"a", "b", "c", "d", "e", "f", "g"}, Minority: 2,
	Least: 5 * time.Second, Link: time.Minute, Pause: 30 * time.Second,
}

func first(n int, faults iter.Seq[Fault]) []Fault {
	var out []Fault
	for f := range faults {
		if len(out) == n {
			break
		}
		out = append(out, f)
	}
	return out
}

func TestPlanIsReplayed(t *testing.T) {
	one, two := first(500, Plan(7, testLimits)), first(500, Plan(7, testLimits))
	if !reflect.DeepEqual(one, two) {
		t.Error("a seed gives two plans")
	}
	if reflect.DeepEqual(one, first(500, Plan(8, testLimits))) {
		t.Error("two seeds give one plan")
	}
}

func TestPlanKeepsItsLimits(t *testing.T) {
	counts := map[int]int{}
	drifts := map[bool]int{}
	for i, f := range first(1000, Plan(1, testLimits)) {
		counts[f.Count]++
		drifts[f.Drift]++
		if f.Number != i+1 {
			t.Fatalf("fault %d is called %d", i+1, f.Number)
		}
		if got := slices.Sorted(slices.Values(f.Order)); !slices.Equal(got, testLimits.Hosts) {
			t.Fatalf("%v: these are not the hosts", f)
		}
		switch most := testLimits.most(f.Kind); {
		case most == 0 && f.Hold != 0, most > 0 && (f.Hold < testLimits.Least || f.Hold > most):
			t.Fatalf("%v: it holds for too short or too long", f)
		}
	}
	if len(counts) != 2 || counts[1] < counts[2] || counts[2] < 100 {
		t.Errorf("how many hosts are struck at once: %v", counts)
	}
	if drifts[true] < 300 || drifts[false] < 300 {
		t.Errorf("who drifts: %v", drifts)
	}
}

func TestPlanHasEveryKindInTurn(t *testing.T) {
	faults := first(10*len(Kinds), Plan(3, testLimits))
	firsts := map[Kind]bool{}
	for deck := range slices.Chunk(faults, len(Kinds)) {
		kinds := map[Kind]bool{}
		for _, f := range deck {
			kinds[f.Kind] = true
		}
		if len(kinds) != len(Kinds) {
			t.Errorf("only %v", slices.Collect(maps.Keys(kinds)))
		}
		firsts[deck[0].Kind] = true
	}
	if len(firsts) < 3 {
		t.Error("the kinds always come in the same order")
	}
}

func TestPlanOfFewHosts(t *testing.T) {
	few := testLimits
	few.Minority = 1
	for _, f := range first(200, Plan(5, few)) {
		if f.Count != 1 {
			t.Fatalf("%v: it takes the majority", f)
		}
	}
}

func TestFaultString(t *testing.T) {
	f := Fault{Number: 3, Kind: Cut, Count: 1, Order: []string{"b", "a"}, Hold: 5 * time.Second}
	if got, want := f.String(), "#3 cut the link on 1 of b a for 5s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
