package main

import (
	"strings"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	var s series
	for i := range 100 {
		s = append(s, time.Duration((i*37)%100+1)) // 1 … 100 in disorder
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := s.quantile(q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	if got := (series{3, 1, 2}).median(); got != 2 {
		t.Errorf("the median of three is %d", got)
	}
	if got := (series{7}).quantile(0.99); got != 7 {
		t.Errorf("the p99 of one is %d", got)
	}
}

func TestSeriesString(t *testing.T) {
	const ms = time.Millisecond
	for want, s := range map[string]series{
		"–":                  nil,
		"2.5 ms (0.8–41.7)":  {2500 * time.Microsecond, 800 * time.Microsecond, 41700 * time.Microsecond},
		"331 ms (265–1407)":  {331 * ms, 265 * ms, 1407 * ms},
		"1.20 s (0.98–1.47)": {1200 * ms, 980 * ms, 1470 * ms},
	} {
		if got := s.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTable(t *testing.T) {
	var table table
	table.atMost("g: late", "5 s", "1 s", 5, 2)
	table.atLeast("b: fast", "1 s", "20 s", []float64{25, 19, 20}, 20)
	table.below("a: small", "39 MiB", "MiB", 39, 40)
	var b strings.Builder
	table.print(&b)
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	for i, want := range []string{"FIGURE MET", "a: small yes", "b: fast yes", "g: late NO"} {
		words := strings.Fields(lines[i])
		first, last, _ := strings.Cut(want, " ")
		if words[0] != first || !strings.HasSuffix(want, words[len(words)-1]) {
			t.Errorf("line %d is %q, want %s … %s", i, lines[i], first, last)
		}
	}
}

func TestMebibytes(t *testing.T) {
	status := []byte("Name:\tspore\nVmRSS:\t   30720 kB\nRssAnon:\t    7424 kB\n")
	if got := mebibytes(status, "VmRSS"); got != 30 {
		t.Errorf("VmRSS is %v MiB", got)
	}
	if got := mebibytes(status, "RssAnon"); got != 7.25 {
		t.Errorf("RssAnon is %v MiB", got)
	}
}
