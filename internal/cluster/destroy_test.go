package cluster

import (
	"slices"
	"testing"

	"spore/internal/resident"
)

func TestDestroyWhatCanBeReached(t *testing.T) {
	record := threeHosts(t)
	record.Put(HostRecord{"d", "d"})
	hosts := own(record, "a", "b", "c", "d")
	hosts["b"].login = errNotThere
	hosts["c"].bare, hosts["c"].info = true, resident.Info{} // somebody has begun
	hosts["d"].fails = map[string]string{"remove": "remove: another spore is changing this host"}
	var lines told
	d := &Destruction{Record: record, Connect: connectTo(hosts), Tell: lines.tell}
	left := d.Run(bounded(t))
	if len(left) != 2 || left[0].Host != "b" || left[1].Host != "d" || left[1].Err.Error() != "remove: another spore is changing this host" {
		t.Errorf("left are %v", left)
	}
	for name, want := range map[string][]string{
		"a": {"info", "remove --cache"}, "b": nil, "c": {"(install)", "info", "(install)", "remove --cache"},
	} {
		if got := hosts[name].verbs(); !slices.Equal(got, want) {
			t.Errorf("%s was asked %q", name, got)
		}
	}
	record.Rest(left)
	if len(record.Hosts) != 2 || record.Hosts[0].Name != "b" || record.Hosts[1].Name != "d" {
		t.Errorf("the record keeps %v", record.Hosts)
	}

	// Again, when they are back.
	hosts["b"].login, hosts["d"].fails = nil, nil
	if left := (&Destruction{Record: record, Connect: connectTo(hosts), Tell: lines.tell}).Run(bounded(t)); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
	if got := hosts["a"].verbs(); len(got) != 2 {
		t.Errorf("a was asked again: %q", got)
	}
}

func TestDestroyLeavesOtherClustersAlone(t *testing.T) {
	record := threeHosts(t)
	hosts := own(record, "a", "b", "c")
	hosts["b"].info = resident.Info{Cluster: "another", Name: "work"}
	var lines told
	left := (&Destruction{Record: record, Connect: connectTo(hosts), Tell: lines.tell}).Run(bounded(t))
	if got := hosts["b"].verbs(); len(left) != 0 || !slices.Equal(got, []string{"info"}) {
		t.Errorf("b was asked %q; left are %v", got, left)
	}
	slices.Sort(lines.lines)
	lines.wants(t, "a: removed", "b: belongs to the cluster work by now, and was left alone", "c: removed")
}
