package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"spore/etcd"
)

const (
	upgradeBound = 3 * time.Minute // for a host to show that it runs the new binary
	upgradePoll  = time.Second
)

// An Upgrade has the hosts of a cluster run this program's binary, one after the other: members of
// the store last, and of these the leader.
type Upgrade struct {
	Hosts []string // those to be upgraded
	// Binary returns the SHA-256, in hex, of the binary for hosts of a system.
	Binary func(goos, goarch string) (digest string, err error)
	Look   func(context.Context) (Status, error) // how the cluster stands now
	Facts  func(context.Context) (map[string]etcd.Facts, error)
	Conn   func(ctx context.Context, host string) (Conn, error)
	Tell   func(host, format string, a ...any)

	poll, bound time.Duration // upgradePoll and upgradeBound if zero
}

// An Upgraded tells what an Upgrade came to.
type Upgraded struct {
	Done    []string // run the new binary, those that did before included
	Left    []string // were not upgraded, and why
	Pending []string // whose turn had not come when it stopped
}

// Run upgrades the hosts until one fails, which is an error.
func (u *Upgrade) Run(ctx context.Context) (Upgraded, error) {
	var r Upgraded
	todo := slices.Clone(u.Hosts)
	for len(todo) > 0 {
		status, err := u.settledLook(ctx)
		if err != nil {
			r.Pending = todo
			return r, err
		}
		host := next(status, todo)
		todo = slices.DeleteFunc(todo, func(h string) bool { return h == host })
		why, err := u.one(ctx, status, host)
		switch {
		case err != nil:
			r.Pending = append([]string{host}, todo...)
			return r, fmt.Errorf("upgrade %s: %w", host, err)
		case why != "":
			u.Tell(host, "left as it is: %s", why)
			r.Left = append(r.Left, host)
		default:
			r.Done = append(r.Done, host)
		}
	}
	return r, nil
}

// next is the host of todo whose turn it is: members come last, and the leader behind them.
func next(s Status, todo []string) string {
	turn := func(host string) int {
		i := slices.IndexFunc(s.Hosts, func(h HostStatus) bool { return h.Name == host })
		if i < 0 {
			return 0
		}
		return slices.Index([]Role{"", Learner, Voter, Leader}, s.Hosts[i].Role)
	}
	return slices.MinFunc(todo, func(a, b string) int { return turn(a) - turn(b) })
}

// one upgrades a host. why says for which reason it is better left alone now.
func (u *Upgrade) one(ctx context.Context, s Status, host string) (why string, err error) {
	i := slices.IndexFunc(s.Hosts, func(h HostStatus) bool { return h.Name == host })
	if i < 0 || s.Hosts[i].State == Silent {
		return "it is down", nil
	}
	before := s.Hosts[i]
	facts, err := u.Facts(ctx)
	if err != nil {
		return "", err
	}
	digest, err := u.Binary(facts[host].OS, facts[host].Arch)
	if err != nil {
		return "", err
	}
	if before.Digest == digest {
		u.Tell(host, "runs it already")
		return "", nil
	}
	if why := majority(s, host); why != "" {
		return why, nil
	}
	conn, err := u.Conn(ctx, host)
	if err != nil {
		return "", err
	}
	u.Tell(host, "bringing the binary")
	_, installed, err := conn.Install(ctx)
	if err != nil {
		return "", err
	}
	if installed != digest {
		return "", fmt.Errorf("it says that it is %s/%s, and is not", facts[host].OS, facts[host].Arch)
	}
	u.Tell(host, "changing over")
	if err := run(ctx, conn, nil, nil, "upgrade", "--digest", digest); err != nil {
		return "", said(err)
	}
	if err := u.verify(ctx, before, digest); err != nil {
		return "", err
	}
	u.Tell(host, "upgraded")
	return "", nil
}

// majority says why the store would be without one, were the member on host not there.
func majority(s Status, host string) string {
	var voters, healthy int
	member := false
	for _, m := range s.Members {
		if m.Role == Learner {
			continue
		}
		voters++
		if m.Host == host {
			member = true
		} else if m.Healthy() {
			healthy++
		}
	}
	if !member || voters == 1 || healthy >= voters/2+1 {
		return ""
	}
	return fmt.Sprintf("the store would be without a majority meanwhile: %d of its %d other members answer", healthy, voters-1)
}

// verify waits until the host shows that it is as before, with the new binary.
func (u *Upgrade) verify(ctx context.Context, before HostStatus, digest string) error {
	bound := upgradeBound
	if u.bound > 0 {
		bound = u.bound
	}
	why := errors.New("the cluster did not tell")
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		s, err := u.Look(bounded)
		if err == nil {
			err = upgraded(s, before, digest)
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, context.DeadlineExceeded) { // which would only say that it took too long
			why = err
		}
		if u.pause(bounded) != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("it runs the new binary, but for %v it has not been well: %w", bound, why)
}

// upgraded reports what is not yet as it was before on a host that has changed over.
func upgraded(s Status, before HostStatus, digest string) error {
	i := slices.IndexFunc(s.Hosts, func(h HostStatus) bool { return h.Name == before.Name })
	if i < 0 {
		return errors.New("the store does not know it")
	}
	h := s.Hosts[i]
	switch {
	case h.State == Silent:
		return errors.New("its agent does not report")
	case h.Digest != digest:
		return errors.New("its agent reports another binary")
	case h.State == Working || h.Graph == Behind:
		return errors.New("it has not converged")
	case h.State == Failed && before.State != Failed:
		return fmt.Errorf("some resource failed: %v", h.Failures)
	}
	if before.Role == "" || before.Role == Learner {
		return nil
	}
	m := slices.IndexFunc(s.Members, func(m MemberStatus) bool { return m.Host == before.Name })
	switch {
	case m < 0:
		return nil // its place was taken, as by the ideal of another
	case s.Members[m].Trouble != "":
		return fmt.Errorf("its member of the store: %s", s.Members[m].Trouble)
	case !s.Members[m].Healthy():
		return errors.New("its member of the store does not answer")
	}
	return nil
}

// settledLook looks how the cluster stands, again for a while when it does not tell: a member may
// just have handed on the lead.
func (u *Upgrade) settledLook(ctx context.Context) (Status, error) {
	bound := upgradeBound
	if u.bound > 0 {
		bound = u.bound
	}
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		s, err := u.Look(bounded)
		if err == nil && s.Trouble != "" {
			err = errors.New(s.Trouble)
		}
		if err == nil {
			return s, nil
		}
		if u.pause(bounded) != nil {
			return s, err
		}
	}
}

func (u *Upgrade) pause(ctx context.Context) error {
	poll := upgradePoll
	if u.poll > 0 {
		poll = u.poll
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(poll):
		return nil
	}
}
