package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"spore/engine"
	"spore/etcd"
)

func itoa(n int) string { return strconv.Itoa(n) }

// A desk is a reporter whose host is a script, and what it has written.
type desk struct {
	*reporter
	mu      sync.Mutex
	now     etcd.Report
	ran     chan struct{}
	written []etcd.Report
	broken  bool
}

func newDesk(t *testing.T) *desk {
	d := &desk{ran: make(chan struct{}, 1)}
	d.reporter = &reporter{
		current: func() etcd.Report {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.now
		},
		write: func(_ context.Context, r etcd.Report) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.broken {
				return errors.New("the store is gone")
			}
			d.written = append(d.written, r)
			return nil
		},
		ran: d.ran, log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return d
}

// settled makes the host so, or not, and lets the reporter know.
func (d *desk) settled(is bool) {
	d.mu.Lock()
	d.now.Settled = is
	d.now.Processed++
	d.mu.Unlock()
	d.ran <- struct{}{}
	synctest.Wait()
}

// breaks cuts the reporter off from the store, or mends that.
func (d *desk) breaks(is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = is
}

func (d *desk) told() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := ""
	for _, r := range d.written {
		text += map[bool]string{true: "+", false: "-"}[r.Settled]
	}
	return text
}

func TestReportsAtOnceThatItIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.settled(true)
		if d.told() != "-+" {
			t.Errorf("told %q, want -+", d.told())
		}
	})
}

// A repair is no news: the host is unsettled for a moment only.
func TestReportsNoShortUnrest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.settled(true)
		d.settled(false)
		time.Sleep(dither - time.Millisecond) // fake: it stands for the work
		d.settled(true)
		if d.told() != "-++" {
			t.Errorf("told %q, want no word of the unrest", d.told())
		}
		d.settled(false)
		time.Sleep(dither / 2)
		d.settled(false) // still at it: the time is not begun anew
		time.Sleep(dither/2 + time.Millisecond)
		synctest.Wait()
		if d.told() != "-++-" {
			t.Errorf("told %q, want word of an unrest that lasts", d.told())
		}
	})
}

func TestReportsAgainAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.breaks(true)
		d.settled(true)
		d.breaks(false)
		time.Sleep(retry + time.Millisecond)
		synctest.Wait()
		if d.told() != "-+" {
			t.Errorf("told %q, want -+", d.told())
		}
	})
}

func TestFailures(t *testing.T) {
	f := newFailures(nil)
	x, y := engine.ID{Kind: "exec", Name: "x"}, engine.ID{Kind: "exec", Name: "y"}
	f.note(engine.Event{Resource: y, State: engine.Failed, Err: "no"})
	f.note(engine.Event{Resource: x, State: engine.Failed, Err: "one"})
	f.note(engine.Event{Resource: x, State: engine.Failed, Err: "two"})
	if got, want := f.list(), []string{"exec/x: two", "exec/y: no"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	f.note(engine.Event{Resource: x, State: engine.OK})
	f.note(engine.Event{Resource: y, State: engine.Skipped})
	if got := f.list(); got != nil {
		t.Errorf("got %v of what has recovered", fmt.Sprint(got))
	}
}

func TestFailuresHoldNoSecrets(t *testing.T) {
	f := newFailures(func(s string) string { return strings.ReplaceAll(s, "hunter22", "********") })
	f.note(engine.Event{Resource: engine.ID{Kind: "exec", Name: "x"}, State: engine.Failed, Err: "said hunter22"})
	if got := f.list(); len(got) != 1 || got[0] != "exec/x: said ********" {
		t.Errorf("got %q", got)
	}
}
