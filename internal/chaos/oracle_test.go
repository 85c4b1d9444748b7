package chaos

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A world is two hosts as an oracle sees them; what it holds is of this edition from then on.
type world struct {
	now, next edition
	then      time.Time
	err       error
	shown     int
	killed    bool
}

func (w *world) oracle() *oracle {
	return &oracle{
		hosts: two, ideal: 3, within: time.Minute, seen: func(Status) { w.shown++ },
		agents: func(host string) int {
			if w.killed && host == "b" {
				return 0
			}
			return 1
		},
		status: func(context.Context) (Status, error) { return wellStatus(), w.err },
		read: func(host, path string) string {
			if time.Now().Before(w.then) {
				return w.now.files(two, host)[path]
			}
			return w.next.files(two, host)[path]
		},
	}
}

func TestSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		w := &world{now: edition{1, 0}, next: edition{2, 1}, then: begin.Add(20 * time.Second)}
		if err := w.oracle().settled(t.Context(), edition{2, 1}); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < 20*time.Second || took > 21*time.Second || w.shown == 0 {
			t.Errorf("it has settled after %v, with %d statuses shown", took, w.shown)
		}
	})
}

func TestNotSettled(t *testing.T) {
	for name, tt := range map[string]struct {
		world world
		want  string
	}{
		"a lost write":      {world{next: edition{1, 1}}, `host a: /srv/own holds "a alone: 1\n", not "a alone: 2\n"`},
		"an export missing": {world{next: edition{2, 0}}, `host a: /srv/passing-b holds "", not "from b for now: 2\n"`},
		"no agent":          {world{next: edition{2, 1}, killed: true}, "host b runs 0 agents"},
		"no status":         {world{next: edition{2, 1}, err: errors.New("no way")}, "no way"},
		"late by far":       {world{next: edition{2, 1}, then: time.Now().AddDate(500, 0, 0)}, "has not settled within 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := tt.world.oracle().settled(t.Context(), edition{2, 1})
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v does not tell of %q", err, tt.want)
				}
			})
		})
	}
}

func TestRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{next: edition{2, 0}}
		o := w.oracle()
		if err := o.repaired(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		o.read = func(string, string) string { return "somebody else\n" }
		if err := o.repaired(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "somebody else") {
			t.Errorf("what stays as it is: %v", err)
		}
	})
}
