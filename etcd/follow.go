package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// askPause is how long Follow waits before it asks the hosts to catch up while some do not report or
// have not answered the last time: they may do so at any moment, and to ask at each would cost N²
// reports.
const askPause = 300 * time.Millisecond

// Follow calls f with the fleet as it is, then again at each change, until ctx is done (then it
// returns nil) or the store refuses. f does not block. When the hosts are settled on their latest
// graphs but some have yet to say that they have seen the last data write, Follow asks them, once
// for each such write.
func (s *Store) Follow(ctx context.Context, f func(Fleet)) error {
	warned := make(map[string]bool)
	for ctx.Err() == nil {
		v := &view{store: s, tell: f, warned: warned}
		err := v.follow(ctx)
		if errors.Is(err, rpctypes.ErrPermissionDenied) {
			return fmt.Errorf("follow the fleet: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
			s.log.Debug("the store was lost, looking for it again", "error", err)
		}
	}
	return nil
}

// Now returns the fleet as it is.
func (s *Store) Now(ctx context.Context) (Fleet, error) {
	var now Fleet
	v := &view{store: s, tell: func(f Fleet) { now = f }, warned: make(map[string]bool)}
	if err := v.begin(ctx); err != nil {
		return Fleet{}, fmt.Errorf("look at the fleet: %w", err)
	}
	return now, nil
}

// A view is the fleet as one watch of the store shows it.
type view struct {
	store  *Store
	tell   func(Fleet)
	fleet  Fleet // its Hosts are the view's own
	asked  int64 // the hosts were asked to catch up with this revision
	timer  <-chan time.Time
	warned map[string]bool // hosts that wrote what cannot be read
}

// follow reads the state as a whole and then every change of it, through one watch, so in the
// order of the revisions.
func (v *view) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	if err := v.begin(ctx); err != nil {
		return err
	}
	watch := v.store.etcd.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(v.fleet.Seen+1))
	for {
		v.ask(ctx)
		select {
		case resp, ok := <-watch:
			if err := resp.Err(); !ok || err != nil {
				return err
			}
			v.handle(resp.Events)
		case <-v.timer:
			v.timer = nil
			v.askNow(ctx)
		}
	}
}

func (v *view) begin(ctx context.Context) error {
	kv := v.store.etcd
	hosts, err := call(ctx, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return kv.Get(ctx, hostsPrefix, clientv3.WithPrefix())
	})
	if err != nil {
		return err
	}
	seen := hosts.Header.Revision
	graphs, err := call(ctx, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return kv.Get(ctx, graphsPrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithRev(seen))
	})
	if err != nil {
		return err
	}
	// The last data write may have been a deletion, of which nothing is left to see, so it may
	// have been any.
	v.fleet = Fleet{Hosts: make(map[string]HostState), LastData: seen, Seen: seen}
	for _, kv := range append(hosts.Kvs, graphs.Kvs...) {
		v.apply(&mvccpb.Event{Type: mvccpb.Event_PUT, Kv: kv})
	}
	v.publish()
	return nil
}

func (v *view) handle(events []*mvccpb.Event) {
	matters := false
	for _, e := range events {
		v.fleet.Seen = e.Kv.ModRevision
		matters = v.apply(e) || matters
	}
	if matters {
		v.publish()
	}
}

// publish tells the fleet as it is now.
func (v *view) publish() {
	snapshot := v.fleet
	snapshot.Hosts = maps.Clone(v.fleet.Hosts)
	v.tell(snapshot)
}

// apply takes up one event and says whether it matters.
func (v *view) apply(e *mvccpb.Event) bool {
	key := string(e.Kv.Key)
	if isData(key) {
		v.fleet.LastData = max(v.fleet.LastData, e.Kv.ModRevision)
	}
	switch {
	case key == syncKey:
		v.asked = max(v.asked, e.Kv.ModRevision)
		return false
	case strings.HasPrefix(key, graphsPrefix):
		if name, ok := splitKey(key, graphsPrefix, 1); ok {
			v.update(name[0], func(h *HostState) { h.setGraph(e) })
		}
		return true
	case strings.HasPrefix(key, hostsPrefix):
		segments, ok := splitKey(key, hostsPrefix, 2)
		if ok {
			v.update(segments[0], func(h *HostState) { v.setOfHost(h, segments, e) })
		}
		return ok
	default:
		return isData(key)
	}
}

func (v *view) update(host string, change func(*HostState)) {
	h := v.fleet.Hosts[host]
	change(&h)
	if h.Graph == 0 && !h.HasReport && h.Facts.OS == "" {
		delete(v.fleet.Hosts, host)
		return
	}
	v.fleet.Hosts[host] = h
}

func (h *HostState) setGraph(e *mvccpb.Event) {
	h.Graph = e.Kv.ModRevision
	if isDelete(e) {
		h.Graph = 0
	}
}

// setOfHost takes up what a host says of itself, which may be anything.
func (v *view) setOfHost(h *HostState, segments []string, e *mvccpb.Event) {
	var err error
	switch segments[1] {
	case "report":
		h.Report, h.HasReport = Report{}, false
		if !isDelete(e) {
			err = decode(e.Kv.Value, &h.Report)
			h.HasReport = err == nil
		}
	case "facts":
		h.Facts = Facts{}
		if !isDelete(e) {
			err = decode(e.Kv.Value, &h.Facts)
		}
	}
	if host := segments[0]; err != nil && !v.warned[host] {
		v.warned[host] = true
		v.store.log.Warn("a host wrote what cannot be read, and it is ignored",
			"host", host, "key", segments[1], "error", err)
	}
}

func decode(value []byte, into any) error {
	if err := checkSize(value); err != nil {
		return err
	}
	return json.Unmarshal(value, into)
}

// ask asks the hosts to catch up if that is all that is left to do.
func (v *view) ask(ctx context.Context) {
	l := v.fleet.lag()
	switch {
	case !l.due || v.asked > v.fleet.LastData:
		v.timer = nil
	case l.all && l.answered >= v.asked:
		v.askNow(ctx)
	case v.timer == nil:
		v.timer = time.After(askPause)
	}
}

func (v *view) askNow(ctx context.Context) {
	v.timer = nil
	if err := v.store.Sync(ctx); err != nil {
		v.timer = time.After(maxReconnect)
		return
	}
	v.asked = v.fleet.LastData + 1 // at least; the watch tells
}
