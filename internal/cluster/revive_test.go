package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"spore/engine"
	"spore/internal/resident"
)

func newRevival(t *testing.T) (*Revival, map[string]*host, *told) {
	record := threeHosts(t)
	hosts, lines := own(record, "a", "b", "c"), new(told)
	hosts["a"].answered = map[string]any{"revive": resident.Revived{Endpoints: []string{"https://a:7481"}}}
	return &Revival{Record: record, Host: "a", Connect: connectTo(hosts), Tell: lines.tell}, hosts, lines
}

func TestReviveTellsTheOthers(t *testing.T) {
	r, hosts, lines := newRevival(t)
	r.Snapshot = resident.LatestSnapshot
	hosts["b"].login = errNotThere
	left, err := r.Run(bounded(t))
	if err != nil || len(left) != 1 || left[0].Host != "b" {
		t.Fatalf("left are %v, %v", left, err)
	}
	lines.wants(t, "a: serves the store, alone", "c: follows")
	if got := hosts["a"].verbs(); !slices.Equal(got, []string{"info", "revive --snapshot latest"}) {
		t.Errorf("a was asked %q", got)
	}
	if got := hosts["c"].verbs(); !slices.Equal(got, []string{"follow"}) {
		t.Errorf("c was asked %q", got)
	}
}

func TestReviveRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(h *host)
		want   string
	}{
		"another cluster's": {func(h *host) { h.info.Cluster = "other" }, "revive on a: it does not belong to the cluster"},
		"no member":         {func(h *host) { h.info.Store = "" }, "revive on a: it does not serve the store"},
		"what fails":        {func(h *host) { h.fails = map[string]string{"revive": "revive: it is damaged"} }, "revive on a: revive: it is damaged"},
		"away":              {func(h *host) { h.login = errors.New("nobody is there") }, "revive on a: nobody is there"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, hosts, _ := newRevival(t)
			tt.change(hosts["a"])
			if _, err := r.Run(bounded(t)); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("the error is %v", err)
			}
			if got := hosts["b"].verbs(); len(got) != 0 {
				t.Errorf("b was asked %q", got)
			}
		})
	}
	r, _, _ := newRevival(t)
	r.Host = "x"
	if _, err := r.Run(bounded(t)); err == nil || err.Error() != `cluster home has no host "x": it has a, b, c` {
		t.Errorf("the error is %v", err)
	}
}

func TestRejoinTellsThoseWhoAreSilent(t *testing.T) {
	s := newSite(t, "a", "b", "c")
	s.report("a", s.up("a", ""), engine.Counts{})
	if err := s.Store.PutEndpoints(bounded(t), []string{"https://a:7481"}); err != nil {
		t.Fatal(err)
	}
	r, hosts, _ := newRevival(t)
	left, err := r.Rejoin(bounded(t), s.Store)
	if err != nil || len(left) != 0 {
		t.Fatalf("left are %v, %v", left, err)
	}
	for name, want := range map[string][]string{"a": nil, "b": {"follow"}, "c": {"follow"}} {
		if got := hosts[name].verbs(); !slices.Equal(got, want) {
			t.Errorf("%s was asked %q", name, got)
		}
	}
}
