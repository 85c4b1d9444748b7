package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A series is how long each run of one thing took.
type series []time.Duration

// quantile returns the smallest time that a share q of the runs did not exceed.
func (s series) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	i := int(q*float64(len(sorted)) + 0.999999)
	return sorted[min(max(i, 1), len(sorted))-1]
}

func (s series) median() time.Duration { return s.quantile(0.5) }

func (s series) String() string {
	if len(s) == 0 {
		return "–"
	}
	return fmt.Sprintf("%s (%s–%s)", short(s.median()), short(slices.Min(s)), short(slices.Max(s)))
}

// short prints three digits.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
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
