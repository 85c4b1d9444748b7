package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A series is how long each run of one thing took.
type series []time.Duration

// quantile returns the smallest time that a share q of the runs did not exceed.
func (s series) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	i := int(math.Ceil(q * float64(len(sorted))))
	return sorted[max(i, 1)-1]
}

func (s series) median() time.Duration { return s.quantile(0.5) }

// String gives the median, and the smallest and largest in the median's unit.
func (s series) String() string {
	if len(s) == 0 {
		return "–"
	}
	unit := unitOf(s.median())
	return fmt.Sprintf("%s %s (%s–%s)", unit.format(s.median()), unit.name,
		unit.format(slices.Min(s)), unit.format(slices.Max(s)))
}

func short(d time.Duration) string {
	unit := unitOf(d)
	return unit.format(d) + " " + unit.name
}

// A unit says how to print a time.
type unit struct {
	name   string
	size   time.Duration
	digits int // behind the point
}

func unitOf(d time.Duration) unit {
	switch {
	case d < 10*time.Millisecond:
		return unit{"ms", time.Millisecond, 1}
	case d < time.Second:
		return unit{"ms", time.Millisecond, 0}
	}
	return unit{"s", time.Second, 2}
}

func (u unit) format(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(u.size), 'f', u.digits, 64)
}

// A contestant is one way to do a job. Its preparation is not timed.
type contestant struct {
	name    string
	prepare func(context.Context) error
	run     func(context.Context) error
}

// race has every contestant run so many times, taking turns.
func (b *bench) race(ctx context.Context, rounds int, all ...contestant) (map[string]series, error) {
	took := map[string]series{}
	for round := range rounds {
		for _, c := range all {
			if err := c.prepare(ctx); err != nil {
				return nil, fmt.Errorf("prepare %s: %w", c.name, err)
			}
			start := time.Now()
			if err := c.run(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			d := time.Since(start)
			took[c.name] = append(took[c.name], d)
			b.say("round %d of %d: %s %s", round+1, rounds, c.name, short(d))
		}
	}
	return took, nil
}

// load is the machine's load average.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(text)); err == nil && len(f) > 0 {
		return f[0]
	}
	return "unknown"
}

func machine() string { return fmt.Sprintf("%d cores for everything", runtime.NumCPU()) }
