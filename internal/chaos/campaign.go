package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"spore/internal/lab"
)

// Options shape a campaign.
type Options struct {
	Lab    *lab.Lab // three hosts or more, with the volumes of LabOptions, that reach each other
	Binary string   // spore's
	Dir    string   // empty, for graph files and the like
	Out    io.Writer

	Seed     uint64
	Duration time.Duration // no fault begins later than this after the first
	Faults   int           // no more than these of the plan; 0 leaves it to Duration
	Skip     int           // these of the plan, from the first
	Least    time.Duration // see Limits
	Link     time.Duration
	Pause    time.Duration
	Within   time.Duration // all must be well this long after a fault has healed
	// MemberTimeout is how long a member may be gone before another host takes its place.
	MemberTimeout time.Duration
	KeepGoing     bool // after a violation
}

// LabOptions are what a campaign needs of its lab.
func LabOptions() lab.Options {
	return lab.Options{Volumes: map[string]string{Directory: "320m"}}
}

// Ideal is how many members a campaign's fleet has: the most that leave out a host to move to, but
// 3 at least and 5 at most.
func Ideal(hosts int) int {
	if hosts > 5 {
		return 5
	}
	return 3
}

// A campaign is one on its way.
type campaign struct {
	Options
	hosts    []string
	report   *Report
	cli      cli
	workload *workload
	oracle   *oracle
	watch    *watch
	judged   int // violations of which evidence has been printed

	mu     sync.Mutex
	status Status // the last one
}

// Run carries out a campaign. Violations are in the report; an error is what kept it from its end.
func Run(ctx context.Context, o Options) (*Report, error) {
	c := newCampaign(o)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	begin := time.Now()
	err := c.found(ctx)
	if err == nil {
		wg.Go(func() { c.workload.run(ctx) })
		wg.Go(func() { c.watch.run(ctx) })
		wg.Go(func() { c.observe(ctx) })
		err = c.rounds(ctx)
	}
	if err != nil && !errors.Is(err, errViolated) {
		c.evidence(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Took, c.report.Deploys = time.Since(begin), c.workload.ledger.deploys()
	return c.report, err
}

func newCampaign(o Options) *campaign {
	c := &campaign{Options: o, cli: cli{binary: o.Binary, dir: o.Dir, config: o.Lab.SSHConfig()}}
	for _, h := range o.Lab.Hosts {
		c.hosts = append(c.hosts, h.Name)
	}
	ideal := Ideal(len(c.hosts))
	c.report = &Report{Seed: o.Seed, Hosts: len(c.hosts), Members: ideal, Faults: map[Kind][]time.Duration{}}
	c.watch = &watch{lab: o.Lab, ideal: ideal, found: c.violation}
	c.oracle = &oracle{
		hosts: c.hosts, ideal: ideal, within: o.Within,
		read: c.read, agents: c.agents, status: c.look, seen: c.watch.status,
	}
	c.workload = newWorkload(func(ctx context.Context, e edition) error {
		paths, err := e.save(c.cli.path("graphs"), c.hosts)
		if err != nil {
			return err
		}
		return c.cli.deploy(ctx, paths)
	})
	return c
}

// found sets the fleet up and waits until it has all its members.
func (c *campaign) found(ctx context.Context) error {
	if err := c.cli.furnish(); err != nil {
		return err
	}
	paths, err := edition{}.save(c.cli.path("graphs"), c.hosts)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := c.cli.detach(ctx, paths, c.oracle.ideal, c.MemberTimeout); err != nil {
		return err
	}
	c.say("detached after %v", time.Since(begin).Round(time.Millisecond))
	first := *c.oracle
	first.within = detachLimit
	first.seen = func(Status) {} // the members have yet to become as many as they are to
	if err := first.settled(ctx, edition{}); err != nil {
		return err
	}
	c.say("all is well after %v", time.Since(begin).Round(time.Millisecond))
	return c.watch.forbid(edition{}.withdrawn(c.hosts))
}

// errViolated ends a campaign that is not to go on after a violation.
var errViolated = errors.New("the campaign ends with its first violation")

func (c *campaign) rounds(ctx context.Context) error {
	begin := time.Now()
	limits := Limits{
		Hosts: c.hosts, Minority: (c.oracle.ideal - 1) / 2, Least: c.Least, Link: c.Link, Pause: c.Pause,
	}
	for f := range Plan(c.Seed, limits) {
		if time.Since(begin) > c.Duration || c.Faults > 0 && f.Number > c.Faults {
			break
		}
		if f.Number <= c.Skip {
			continue
		}
		if err := c.round(ctx, f); err != nil {
			return fmt.Errorf("seed %d, %v: %w", c.Seed, f, err)
		}
	}
	return nil
}

// observe asks for the status now and then, faults or not.
func (c *campaign) observe(ctx context.Context) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s, err := c.look(ctx); err == nil {
				c.watch.status(s)
			}
		}
	}
}

// read returns what a file of a host holds, seen from outside.
func (c *campaign) read(host, path string) string {
	text, _ := os.ReadFile(filepath.Join(c.Lab.Host(host).Root(), path))
	return string(text)
}

// agents counts the agents of a host; none where it does not run.
func (c *campaign) agents(host string) int {
	processes, err := c.Lab.Host(host).Processes()
	if err != nil {
		return 0
	}
	return len(agents(processes))
}

func (c *campaign) look(ctx context.Context) (Status, error) {
	s, err := c.cli.status(ctx)
	if err == nil {
		c.mu.Lock()
		c.status = s
		c.mu.Unlock()
	}
	return s, err
}

func (c *campaign) violation(text string) {
	c.say("VIOLATION: %s", text)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Violations = append(c.report.Violations, text)
}

func (c *campaign) violations() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.report.Violations)
}

func (c *campaign) say(format string, a ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.Out, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05.000")}, a...)...)
}
