package etcd

import "math"

// A HostState is what the store knows of one host.
type HostState struct {
	Graph     int64 // the revision of its latest graph; 0 if it has none
	HasReport bool  // false once the host's lease has ended
	Report    Report
	Facts     Facts
}

// settled says that the host has finished its latest graph, as far as it had seen then.
func (h HostState) settled() bool {
	return h.HasReport && h.Report.Settled && h.Report.Graph == h.Graph
}

// A Fleet is the store at revision Seen, as far as convergence goes. It does not change.
type Fleet struct {
	Hosts    map[string]HostState
	LastData int64 // the revision of the last write to a graph, an export or a value
	Seen     int64
}

// Converged reports whether each of hosts is settled on its latest graph having processed every
// data write there is.
func (f Fleet) Converged(hosts []string) bool {
	for _, name := range hosts {
		h := f.Hosts[name]
		if !h.settled() || h.Report.Processed < f.LastData {
			return false
		}
	}
	return true
}

// A lag is how far the hosts that report are from saying that they have seen it all.
type lag struct {
	due      bool  // they are settled, and some have not yet processed the last data write
	all      bool  // every host with a graph reports
	answered int64 // what the last of them has processed
}

func (f Fleet) lag() lag {
	l := lag{all: true, answered: math.MaxInt64}
	settled := true
	for _, h := range f.Hosts {
		if !h.HasReport {
			l.all = l.all && h.Graph == 0
			continue
		}
		settled = settled && h.settled()
		l.answered = min(l.answered, h.Report.Processed)
	}
	l.due = settled && l.answered < f.LastData
	return l
}
