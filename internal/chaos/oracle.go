package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// An oracle tells from the status and from the disks whether all is well.
type oracle struct {
	hosts  []string
	ideal  int
	read   func(host, path string) string // what a file holds; nothing if there is none
	agents func(host string) int
	status func(context.Context) (Status, error)
	seen   func(Status) // is shown every status
	within time.Duration
}

const lookPause = 200 * time.Millisecond

// settled returns when all hosts hold the edition and the status says that all is well, or else
// with what is missing.
func (o *oracle) settled(ctx context.Context, e edition) error {
	ctx, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	var missing []string
	for {
		now := o.look(ctx, e)
		if len(now) == 0 {
			return nil
		}
		if ctx.Err() == nil || missing == nil { // else it has but looked for too long
			missing = now
		}
		select {
		case <-time.After(lookPause):
		case <-ctx.Done():
			return fmt.Errorf("edition %d has not settled within %v: %s", e.number, o.within, strings.Join(missing, "; "))
		}
	}
}

// look says what is missing: on the hosts, which costs nothing to see, or else in the status. That
// may rest on what an agent said before it was killed, so there has to be one.
func (o *oracle) look(ctx context.Context, e edition) []string {
	if missing := o.outside(e); len(missing) > 0 {
		return missing
	}
	s, err := o.status(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	o.seen(s)
	if missing := s.missing(o.hosts, o.ideal); len(missing) > 0 {
		return missing
	}
	return o.outside(e)
}

func (o *oracle) outside(e edition) []string {
	var out []string
	for _, name := range o.hosts {
		if n := o.agents(name); n != 1 {
			out = append(out, fmt.Sprintf("host %s runs %d agents", name, n))
		}
		out = append(out, o.differences(name, e.files(o.hosts, name))...)
	}
	return out
}

// differences says how what a host holds differs from what it is to hold.
func (o *oracle) differences(host string, want map[string]string) []string {
	var out []string
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if have := o.read(host, path); have != want[path] {
			out = append(out, fmt.Sprintf("host %s: %s holds %q, not %q", host, path, have, want[path]))
		}
	}
	return out
}

// repaired returns when the file that somebody changed is as some edition has it again.
func (o *oracle) repaired(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	for !isOwn(o.read(host, ownFile), host) {
		select {
		case <-time.After(lookPause):
		case <-ctx.Done():
			return fmt.Errorf("drift on host %s was not repaired: %s holds %q", host, ownFile, o.read(host, ownFile))
		}
	}
	return nil
}
