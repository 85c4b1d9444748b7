package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"spore/etcd"
)

// A leaving is a cluster of a, b and c that a leaves, and what has happened to it.
type leaving struct {
	Leave
	t       *testing.T
	hosts   map[string]*host
	graphs  map[string]etcd.Graph
	members []etcd.Member
	orders  map[string]etcd.Order
	fails   map[string]error // steps that fail
	done    []string
}

func newLeaving(t *testing.T) *leaving {
	record := threeHosts(t)
	l := &leaving{
		t: t, hosts: own(record, "a", "b", "c"), fails: map[string]error{},
		graphs:  map[string]etcd.Graph{"a": {}, "b": {}, "c": {}},
		members: []etcd.Member{{ID: 1, Host: "a"}, {ID: 2, Host: "b"}},
	}
	l.Leave = Leave{
		Record: record, Host: "a", Store: l, Conn: connTo(l.hosts), poll: time.Millisecond,
		Drop: func(host string) error { return l.step("drop " + host) },
		Tell: func(string, ...any) {},
	}
	return l
}

func (l *leaving) step(what string) error {
	l.done = append(l.done, what)
	return l.fails[what]
}

func (l *leaving) Graphs(context.Context) (map[string]etcd.Graph, error) {
	all := map[string]etcd.Graph{}
	for host, g := range l.graphs {
		all[host] = g
	}
	return all, nil
}

// Members has the steward act between one look and the next.
func (l *leaving) Members(context.Context) ([]etcd.Member, error) {
	now := slices.Clone(l.members)
	if slices.Contains(l.done, "mark a") {
		l.members = slices.DeleteFunc(l.members, func(m etcd.Member) bool { return m.ID == 1 })
	}
	return now, nil
}

func (l *leaving) Orders(context.Context) (map[string]etcd.Order, error) { return l.orders, nil }
func (l *leaving) MarkLeaving(_ context.Context, host string) error      { return l.step("mark " + host) }

func (l *leaving) Dismiss(_ context.Context, host string) error {
	delete(l.graphs, host)
	return l.step("dismiss " + host)
}

func (l *leaving) wants(verbs []string, done ...string) {
	l.t.Helper()
	if got := l.hosts["a"].verbs(); !slices.Equal(got, verbs) {
		l.t.Errorf("the host was asked %q, want %q", got, verbs)
	}
	if !slices.Equal(l.done, done) {
		l.t.Errorf("done is %q, want %q", l.done, done)
	}
}

func TestLeave(t *testing.T) {
	l := newLeaving(t)
	l.hosts["a"].onVerb = func(string) {
		if slices.ContainsFunc(l.members, func(m etcd.Member) bool { return m.Host == "a" }) {
			t.Error("it still serves the store")
		}
	}
	if err := l.Run(bounded(t)); err != nil {
		t.Fatal(err)
	}
	l.wants([]string{"info", "remove"}, "mark a", "dismiss a", "drop a")
}

func TestLeaveOfOneThatIsAboutToServe(t *testing.T) {
	l := newLeaving(t)
	l.members[0].Host, l.orders = "", map[string]etcd.Order{"a": {Member: 1}}
	if serves, err := l.serves(bounded(t)); err != nil || !serves {
		t.Errorf("%v, %v", serves, err)
	}
}

func TestLeaveIsFinishedByDoingItAgain(t *testing.T) {
	broken := errors.New("the line broke")
	for _, at := range []string{"mark a", "remove", "dismiss a", "drop a"} {
		t.Run(at, func(t *testing.T) {
			l := newLeaving(t)
			l.fails[at] = broken
			if at == "remove" {
				l.hosts["a"].fails = map[string]string{"remove": broken.Error()}
			}
			err := l.Run(bounded(t))
			if err == nil || !strings.Contains(err.Error(), "the line broke; to run this again finishes the job") {
				t.Fatalf("the error is %v", err)
			}
			clear(l.fails)
			l.hosts["a"].fails = nil
			l.hosts["a"].bare = at != "mark a" && at != "remove" // it was removed then
			if err := l.Run(bounded(t)); err != nil {
				t.Fatal(err)
			}
			if last := l.done[len(l.done)-1]; last != "drop a" {
				t.Errorf("the last that was done is %s", last)
			}
		})
	}
}

func TestLeaveOfOneThatIsAway(t *testing.T) {
	l := newLeaving(t)
	l.hosts["a"].login = errNotThere
	var away *AwayError
	if err := l.Run(bounded(t)); !errors.As(err, &away) {
		t.Errorf("the error is %v", err)
	}
	l.wants(nil)
	l.Force = true
	var stayed *StayedError
	if err := l.Run(bounded(t)); !errors.As(err, &stayed) {
		t.Errorf("the error is %v", err)
	}
	l.wants(nil, "mark a", "dismiss a", "drop a")
}

func TestWhoCannotLeave(t *testing.T) {
	l := newLeaving(t)
	l.Host = "x"
	if err := l.Run(bounded(t)); err == nil || err.Error() != `cluster home has no host "x": it has a, b, c` {
		t.Errorf("the error is %v", err)
	}
	l = newLeaving(t)
	l.Record.Hosts, l.graphs = l.Record.Hosts[:1], map[string]etcd.Graph{"a": {}}
	if err := l.Run(bounded(t)); !errors.Is(err, ErrLast) {
		t.Errorf("the error is %v", err)
	}
	l.wants(nil)
}
