package etcd

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"spore/engine"
)

// An agent does what a real one does to report: it is always settled, at once, so only what it has
// processed can hold the fleet back.
type agent struct {
	*Client
	graph atomic.Int64
	found atomic.Int64 // exports collected
	woken chan struct{}
}

func startAgent(t *testing.T, o Options, kinds ...string) *agent {
	t.Helper()
	a := &agent{Client: dial(t, o), woken: make(chan struct{}, 1)}
	background(t, func(ctx context.Context) error {
		return a.FollowGraph(ctx, func(_ Graph, revision int64) {
			a.graph.Store(revision)
			select {
			case a.woken <- struct{}{}:
			default:
			}
		})
	})
	background(t, func(ctx context.Context) error {
		return a.Collect(ctx, kinds, func(e []engine.Export) { a.found.Store(int64(len(e))) })
	})
	background(t, func(ctx context.Context) error {
		for {
			r := Report{Processed: a.Processed()}
			r.Graph = a.graph.Load()
			r.Settled = r.Graph > 0
			if err := a.Report(ctx, r); err != nil && ctx.Err() == nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-a.Moved():
			case <-a.woken:
			}
		}
	})
	return a
}

// history returns the writes under prefix since a revision, up to now.
func history(t *testing.T, s *Server, since int64) []*mvccpb.Event {
	t.Helper()
	const mark = "/mark"
	end, err := s.root.Put(t.Context(), mark, "")
	if err != nil {
		t.Fatal(err)
	}
	var all []*mvccpb.Event
	for resp := range s.root.Watch(t.Context(), "/", clientv3.WithPrefix(), clientv3.WithRev(since)) {
		for _, e := range resp.Events {
			if e.Kv.ModRevision == end.Header.Revision {
				return all
			}
			all = append(all, e)
		}
	}
	t.Fatal("the watch ended")
	return nil
}

func count(events []*mvccpb.Event, wanted func(key string) bool) (n int) {
	for _, e := range events {
		if wanted(string(e.Kv.Key)) {
			n++
		}
	}
	return n
}

func isReport(key string) bool {
	return strings.HasPrefix(key, hostsPrefix) && strings.HasSuffix(key, "/report")
}
