package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A Store is the operator's view. Where nothing else is said, its methods wait for an answer for a
// limited time, try again what failed in passing, and may be repeated.
type Store struct {
	etcd    *clientv3.Client
	log     *slog.Logger
	options Options

	mu       sync.Mutex
	admitted map[string]*admission
	unnamed  map[string]int64 // see Sweep
}

// Open returns the store at o. It does not wait for an answer.
func Open(_ context.Context, o Options) (*Store, error) {
	etcd, err := o.connect()
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return newStore(etcd, o), nil
}

func newStore(etcd *clientv3.Client, o Options) *Store {
	return &Store{etcd: etcd, log: o.Log, options: o, admitted: make(map[string]*admission)}
}

// PutGraph makes g the desired graph of host and returns its revision. If it is already, nothing
// is written.
func (s *Store) PutGraph(ctx context.Context, host string, g Graph) (revision int64, err error) {
	value, err := encode(g)
	if err == nil {
		err = checkSize(value)
	}
	if err != nil {
		return 0, fmt.Errorf("put graph of %s: %w", host, err)
	}
	key := graphKey(host)
	revision, err = call(ctx, func(ctx context.Context) (int64, error) { return s.overwrite(ctx, key, value) })
	if err != nil {
		return 0, fmt.Errorf("put graph of %s: %w", host, err)
	}
	return revision, nil
}

// overwrite makes value that of key and returns its revision. A try that is given up for lost may still
// arrive: it must not replace what came after it, so each replaces what it has seen and nothing else.
func (s *Store) overwrite(ctx context.Context, key string, value []byte) (revision int64, err error) {
	for {
		has, err := s.etcd.Get(ctx, key)
		if err != nil {
			return 0, err
		}
		seen := int64(0)
		if len(has.Kvs) == 1 {
			seen = has.Kvs[0].ModRevision
			if bytes.Equal(has.Kvs[0].Value, value) {
				return seen, nil
			}
		}
		done, err := s.etcd.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", seen)).
			Then(clientv3.OpPut(key, string(value))).Commit()
		if err != nil {
			return 0, err
		}
		if done.Succeeded {
			return done.Header.Revision, nil
		}
	}
}

// Graph returns the desired graph of host and its revision, which is 0 if there is none.
func (s *Store) Graph(ctx context.Context, host string) (g Graph, revision int64, err error) {
	found, err := s.get(ctx, span{key: graphKey(host)})
	if err == nil && len(found.Kvs) > 0 {
		revision = found.Kvs[0].ModRevision
		err = json.Unmarshal(found.Kvs[0].Value, &g)
	}
	if err != nil {
		return Graph{}, 0, fmt.Errorf("get graph of %s: %w", host, err)
	}
	return g, revision, nil
}

// Graphs returns the desired graphs by host.
func (s *Store) Graphs(ctx context.Context) (map[string]Graph, error) {
	graphs, err := byHost[Graph](ctx, s, graphsPrefix)
	if err != nil {
		return nil, fmt.Errorf("get graphs: %w", err)
	}
	return graphs, nil
}

// Sync asks every host to catch up with all that has been written, and to report.
func (s *Store) Sync(ctx context.Context) error {
	if err := s.put(ctx, syncKey, ""); err != nil {
		return fmt.Errorf("ask hosts to catch up: %w", err)
	}
	return nil
}

// Close ends the connection.
func (s *Store) Close() error {
	_ = s.etcd.Close() // it reports that it was closed
	return nil
}
