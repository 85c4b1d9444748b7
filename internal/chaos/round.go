package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"spore/internal/lab"
)

// round has a fault strike, and all become well again.
func (c *campaign) round(ctx context.Context, f Fault) error {
	struck, err := f.strikes(ctx, c.Lab)
	if err != nil {
		return err
	}
	c.say("%v: %s", f, names(struck))
	e, _ := c.workload.ledger.acknowledged()
	c.workload.work(e.epoch)
	repaired, err := c.inflict(ctx, f, struck)
	healed := time.Now()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	c.mend(ctx, f, healed)
	if err := <-repaired; err != nil {
		c.violation(err.Error())
	} else {
		c.report.Drifts++
	}
	c.watch.allow()
	if err := c.verdict(ctx); err != nil {
		return err
	}
	if err := c.turn(ctx, e.epoch+1); err != nil {
		return err
	}
	return c.verdict(ctx)
}

// verdict prints evidence where there are new violations, and says whether to go on.
func (c *campaign) verdict(ctx context.Context) error {
	n := c.violations()
	if n == c.judged {
		return ctx.Err()
	}
	c.judged = n
	c.evidence(ctx)
	if c.KeepGoing {
		return ctx.Err()
	}
	return errViolated
}

// inflict lets a fault strike, hold and heal. Whether the drift of a file was repaired comes later.
func (c *campaign) inflict(ctx context.Context, f Fault, struck []*lab.Host) (repaired <-chan error, err error) {
	begin, end := acts(f.Kind)
	err = all(ctx, struck, begin)
	if err == nil {
		repaired, err = c.drift(ctx, f.drifts(c.Lab, struck))
	}
	if err == nil {
		select {
		case <-time.After(f.Hold):
		case <-ctx.Done():
		}
	}
	return repaired, errors.Join(err, heal(ctx, struck, end))
}

// drift changes a file of the host, behind the agent's back.
func (c *campaign) drift(ctx context.Context, h *lab.Host) (<-chan error, error) {
	if err := os.WriteFile(filepath.Join(h.Root(), ownFile), []byte("somebody else\n"), 0o644); err != nil {
		return nil, fmt.Errorf("change a file of host %s: %w", h.Name, err)
	}
	repaired := make(chan error, 1)
	go func() { repaired <- c.oracle.repaired(ctx, h.Name) }()
	return repaired, nil
}

// mend waits until all is well, and notes how long that took since healed.
func (c *campaign) mend(ctx context.Context, f Fault, healed time.Time) {
	limit, cancel := context.WithTimeout(ctx, c.Within)
	defer cancel()
	e, err := c.workload.rest(limit)
	if err == nil {
		err = c.oracle.settled(limit, e)
	}
	if err != nil {
		c.lost(ctx, e)
		c.violation(err.Error())
		return
	}
	took := time.Since(healed)
	c.report.Faults[f.Kind] = append(c.report.Faults[f.Kind], took)
	c.say("   edition %d on all hosts, all well after %s", e.number, seconds(took))
}

// lost tells of hosts that have converged, they say, on less than what was acknowledged.
func (c *campaign) lost(ctx context.Context, e edition) {
	if _, acknowledged := c.workload.ledger.acknowledged(); !acknowledged {
		return
	}
	s, err := c.look(ctx)
	if err != nil || !s.Converged {
		return
	}
	for _, name := range c.hosts {
		if got := c.read(name, ownFile); got != e.own(name) {
			c.report.LostWrites++
			c.violation(fmt.Sprintf("lost write: host %s has converged on %q, after edition %d was acknowledged", name, got, e.number))
		}
	}
}

// turn has other hosts export for now, and watches that none of the withdrawn exports comes back.
func (c *campaign) turn(ctx context.Context, epoch int) error {
	limit, cancel := context.WithTimeout(ctx, c.Within)
	defer cancel()
	err := c.workload.once(limit, epoch)
	e, _ := c.workload.ledger.acknowledged()
	if err == nil {
		err = c.oracle.settled(limit, e)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		c.violation(err.Error())
		return nil
	}
	return c.watch.forbid(e.withdrawn(c.hosts))
}

// evidence prints what helps to find out why something went wrong.
func (c *campaign) evidence(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	c.mu.Lock()
	last := c.status
	c.mu.Unlock()
	c.say("seed %d; the last status: %+v", c.Seed, last)
	const script = `journalctl --no-pager -q -o short-precise -n 80 -u ` + agentUnit + ` -u ` + storeUnit + `
grep -hv '"type":"resource"' ` + Directory + `/resident/log/* | tail -n 30
tail -qn 5 ` + Directory + `/resident/log/*`
	for _, h := range c.Lab.Hosts {
		if !h.Running() {
			c.say("host %s does not run", h.Name)
			continue
		}
		out, err := h.Run(ctx, "sh", "-c", script)
		c.say("host %s (%v):\n%s", h.Name, err, tail(out, 20000))
	}
}
