// Command cmd (go run ./internal/chaos/cmd) breaks a detached fleet on lab hosts, as root, and
// checks that it mends itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"spore/internal/chaos"
	"spore/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o := chaos.Options{Out: out}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	hosts := flags.Int("hosts", 7, "how many hosts")
	flags.Uint64Var(&o.Seed, "seed", rand.Uint64N(1<<32), "of the plan; the same gives the same faults")
	flags.StringVar(&o.Binary, "binary", "bin/spore", "the `PATH` of spore")
	flags.DurationVar(&o.Duration, "duration", 15*time.Minute, "no fault begins after this")
	flags.IntVar(&o.Faults, "faults", 0, "at most so many faults; 0 leaves it to -duration")
	flags.IntVar(&o.Skip, "skip", 0, "begin after so many faults of the plan")
	flags.DurationVar(&o.Least, "least", 5*time.Second, "the shortest time that a fault lasts")
	flags.DurationVar(&o.Link, "link", time.Minute, "the longest time that a cut, a crash or a full disk lasts")
	flags.DurationVar(&o.Pause, "pause", 30*time.Second, "the longest time that a process is stopped")
	flags.DurationVar(&o.Within, "within", 90*time.Second, "all must be well this long after a fault is over")
	flags.DurationVar(&o.MemberTimeout, "member-timeout", 30*time.Second, "a member that is gone for so long is replaced")
	flags.BoolVar(&o.KeepGoing, "keep-going", false, "go on after a violation")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("it takes no arguments, and %q is one", flags.Arg(0))
	}
	if *hosts < 3 {
		return fmt.Errorf("-hosts %d: it takes 3 for a majority to be left", *hosts)
	}
	if _, err := os.Stat(o.Binary); err != nil {
		return fmt.Errorf("find spore: %w; make build makes it", err)
	}
	if o.Dir, err = os.MkdirTemp("", "spore-chaos-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	of := chaos.LabOptions()
	of.Log = slog.New(slog.DiscardHandler)
	if o.Lab, err = lab.Up(ctx, *hosts, of); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Lab.Close()) }()
	fmt.Fprintf(out, "seed %d\n", o.Seed)
	report, err := chaos.Run(ctx, o)
	fmt.Fprintf(out, "\n%s", report)
	if err == nil && len(report.Violations) > 0 {
		err = fmt.Errorf("%d violations; -seed %d has the same faults again", len(report.Violations), o.Seed)
	}
	return err
}
