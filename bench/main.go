// Command bench measures spore against what people have instead, on the hosts of a lab, and prints
// the figures of one run side by side. Whatever is compared takes turns, so that what else the
// machine does meanwhile falls on all alike; what counts are the ratios.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"spore/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	only    string
	rounds  int
	slow    int
	samples int
	hosts   int
	spore   string
}

func parse(args []string, out io.Writer) (s settings, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&s.only, "only", "a,b,c,d,e,f,g", "which figures to take")
	f.IntVar(&s.rounds, "rounds", 5, "how often each contestant runs")
	f.IntVar(&s.slow, "slow-rounds", 1, "how often ansible runs; 0 leaves it out")
	f.IntVar(&s.samples, "samples", 100, "how many edits and how many repairs are timed")
	f.IntVar(&s.hosts, "hosts", 8, "how many hosts the lab has, 2 or more")
	f.StringVar(&s.spore, "spore", "bin/spore", "the binary, built with: make build")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if s.rounds < 1 || s.samples < 1 || s.hosts < 2 {
		return s, fmt.Errorf("-rounds and -samples must be 1 or more, -hosts 2 or more")
	}
	if s.spore, err = filepath.Abs(s.spore); err == nil {
		_, err = os.Stat(s.spore)
	}
	return s, err
}

func (s settings) wants(figures string) bool { return strings.ContainsAny(s.only, figures) }

// A bench is a run under way.
type bench struct {
	settings
	lab   *lab.Lab
	dir   string // for what it writes on this machine; goes at the end
	out   io.Writer
	table table
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parse(args, out)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "spore-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{settings: s, dir: dir, out: out}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	b.say("starting %d hosts", s.hosts)
	if b.lab, err = lab.Up(ctx, s.hosts, lab.Options{Log: log}); err != nil {
		return err
	}
	defer func() {
		if e := b.lab.Close(); err == nil {
			err = e
		}
	}()
	before := load()
	if err = b.measure(ctx); ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	b.table.print(out)
	fmt.Fprintf(out, "\nEach figure: median (min–max). %s, load average before %s, after %s.\n", machine(), before, load())
	return err
}

// measure takes the figures that were asked for. Those that were taken before an error count.
func (b *bench) measure(ctx context.Context) error {
	for _, part := range []struct {
		figures string
		take    func(context.Context) error
	}{
		{"abc", b.deploy}, {"def", b.live}, {"f", b.sizes}, {"g", b.exchange},
	} {
		if !b.wants(part.figures) {
			continue
		}
		if err := part.take(ctx); err != nil {
			return fmt.Errorf("figures %s: %w", part.figures, err)
		}
	}
	return nil
}

// say tells on stderr what is going on.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
