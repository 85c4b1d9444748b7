package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ErrChanged says that somebody else has written graphs meanwhile.
var ErrChanged = errors.New("somebody else has changed the graphs meanwhile")

// Revisions returns the desired graphs by host, with the revision of each, as they were at one moment.
func (s *Store) Revisions(ctx context.Context) (graphs map[string]Graph, revisions map[string]int64, err error) {
	found, err := s.get(ctx, span{graphsPrefix, true})
	if err != nil {
		return nil, nil, fmt.Errorf("get graphs: %w", err)
	}
	graphs, revisions = make(map[string]Graph, len(found.Kvs)), make(map[string]int64, len(found.Kvs))
	for _, kv := range found.Kvs {
		segments, ok := splitKey(string(kv.Key), graphsPrefix, 1)
		if !ok {
			continue
		}
		var g Graph
		if err := json.Unmarshal(kv.Value, &g); err != nil {
			return nil, nil, fmt.Errorf("get graphs: of %s: %w", segments[0], err)
		}
		graphs[segments[0]], revisions[segments[0]] = g, kv.ModRevision
	}
	return graphs, revisions, nil
}

// ReplaceGraphs is PutGraph for several hosts whose graphs are still those of the revisions was, 0
// or none being that there is none. If they are not it is ErrChanged and nothing is written. Should
// they be too large for one request, they are written in several, and ErrChanged may come after some
// of them: next is what has been written.
func (s *Store) ReplaceGraphs(ctx context.Context, graphs map[string]Graph, was map[string]int64) (next map[string]int64, err error) {
	next = make(map[string]int64, len(graphs))
	batches, err := inBatches(graphs)
	for _, batch := range batches {
		if err != nil {
			break
		}
		err = s.replace(ctx, batch, was, next)
	}
	if err != nil {
		return next, fmt.Errorf("replace graphs: %w", err)
	}
	return next, nil
}

// A desired graph is one as the store is to hold it.
type desired struct{ host, value string }

// inBatches encodes graphs, and divides them so that each part fits into one request.
func inBatches(graphs map[string]Graph) ([][]desired, error) {
	var batches [][]desired
	size := maxRequest
	for _, host := range slices.Sorted(maps.Keys(graphs)) {
		value, err := encode(graphs[host])
		if err == nil {
			err = checkSize(value)
		}
		if err != nil {
			return nil, fmt.Errorf("of %s: %w", host, err)
		}
		if size += len(value); size > maxRequest || len(batches[len(batches)-1]) == maxOps {
			batches, size = append(batches, nil), len(value)
		}
		last := &batches[len(batches)-1]
		*last = append(*last, desired{host, string(value)})
	}
	return batches, nil
}

func (s *Store) replace(ctx context.Context, batch []desired, was, next map[string]int64) error {
	var same []clientv3.Cmp
	var then, look []clientv3.Op
	for _, w := range batch {
		key := graphKey(w.host)
		same = append(same, clientv3.Compare(clientv3.ModRevision(key), "=", was[w.host]))
		then = append(then, clientv3.OpPut(key, w.value))
		look = append(look, clientv3.OpGet(key))
	}
	done, err := s.txn(ctx, same, then, look...)
	if err != nil {
		return err
	}
	for i, w := range batch {
		if done.Succeeded {
			next[w.host] = done.Header.Revision
			continue
		}
		// It may have been this very write, whose answer was lost.
		kvs := done.Responses[i].GetResponseRange().Kvs
		if len(kvs) == 0 || string(kvs[0].Value) != w.value {
			return ErrChanged
		}
		next[w.host] = kvs[0].ModRevision
	}
	return nil
}

// LockGraphs is Lock for those who change graphs and the rights that these call for.
func (s *Store) LockGraphs(ctx context.Context) (held context.Context, release func(), err error) {
	return s.lock(ctx, deployPrefix)
}

// PutRecipient notes for whom to encrypt what host alone is to read, as Facts.Recipient tells while
// the host is up.
func (s *Store) PutRecipient(ctx context.Context, host, recipient string) error {
	if err := s.putJSON(ctx, recipientKey(host), recipient); err != nil {
		return fmt.Errorf("put recipient of %s: %w", host, err)
	}
	return nil
}

// Recipients returns what PutRecipient has noted, by host.
func (s *Store) Recipients(ctx context.Context) (map[string]string, error) {
	recipients, err := byHost[string](ctx, s, keysPrefix)
	if err != nil {
		return nil, fmt.Errorf("get recipients: %w", err)
	}
	return recipients, nil
}
