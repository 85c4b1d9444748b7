package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"spore/internal/lab"
)

// Directory is where the fleet lives on a host: a file system of its own, that can be filled.
const Directory = "/var/lib/spore"

const (
	agentUnit = "spore-agent.service"
	storeUnit = "spore-store.service"
)

// healLimit is how long it may take to mend what was broken: to boot, mostly.
const healLimit = 3 * time.Minute

type act func(*lab.Host, context.Context) error

func nothing(*lab.Host, context.Context) error { return nil }

// acts are what breaks a host and what mends it.
func acts(k Kind) (begin, end act) {
	unit := func(do func(*lab.Host, context.Context, string) error, name string) act {
		return func(h *lab.Host, ctx context.Context) error { return do(h, ctx, name) }
	}
	switch k {
	case KillAgent:
		return unit((*lab.Host).Kill, agentUnit), nothing
	case KillStore:
		return unit((*lab.Host).Kill, storeUnit), nothing
	case PauseAgent:
		return unit((*lab.Host).Pause, agentUnit), unit((*lab.Host).Resume, agentUnit)
	case PauseStore:
		return unit((*lab.Host).Pause, storeUnit), unit((*lab.Host).Resume, storeUnit)
	case Crash:
		return (*lab.Host).Crash, (*lab.Host).Start
	case Reboot:
		return (*lab.Host).Reboot, nothing
	case Cut:
		return (*lab.Host).Cut, (*lab.Host).Heal
	case CutFrom:
		return (*lab.Host).CutFrom, (*lab.Host).Heal
	case CutTo:
		return (*lab.Host).CutTo, (*lab.Host).Heal
	case FillDisk:
		return unit((*lab.Host).FillDisk, Directory), unit((*lab.Host).FreeDisk, Directory)
	}
	panic("chaos: there is no fault " + string(k))
}

// strikes tells which of the hosts that are there a fault strikes: of the store, members alone.
func (f Fault) strikes(ctx context.Context, l *lab.Lab) ([]*lab.Host, error) {
	var out []*lab.Host
	for _, name := range f.Order {
		h := l.Host(name)
		if f.Kind == KillStore || f.Kind == PauseStore {
			if _, err := h.MainPID(ctx, storeUnit); err != nil {
				continue
			}
		}
		if out = append(out, h); len(out) == f.Count {
			return out, nil
		}
	}
	return nil, fmt.Errorf("%v: only %d hosts can be struck: %s", f, len(out), names(out))
}

// drifts tells on which host somebody's hand may change a file and be sure that it is mended even
// while the fault lasts: not where the agent may be gone. A minority is struck, so there is one.
func (f Fault) drifts(l *lab.Lab, struck []*lab.Host) *lab.Host {
	if cut := f.Kind == Cut || f.Kind == CutFrom || f.Kind == CutTo; cut && f.Drift {
		return struck[0]
	}
	i := len(f.Order) - 1
	for slices.Contains(struck, l.Host(f.Order[i])) {
		i--
	}
	return l.Host(f.Order[i])
}

// all does it to the hosts at once.
func all(ctx context.Context, hosts []*lab.Host, do act) error {
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() { errs[i] = do(h, ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// heal mends the hosts even if ctx is done.
func heal(ctx context.Context, hosts []*lab.Host, end act) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healLimit)
	defer cancel()
	return all(ctx, hosts, end)
}

func names(hosts []*lab.Host) string {
	var out []string
	for _, h := range hosts {
		out = append(out, h.Name)
	}
	return strings.Join(out, " ")
}
