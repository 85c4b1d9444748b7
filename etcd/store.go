package etcd

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A Store is the operator's view.
type Store struct {
	etcd *clientv3.Client
	log  *slog.Logger
}

// Open returns the store at o. It does not wait for an answer.
func Open(_ context.Context, o Options) (*Store, error) {
	etcd, err := o.connect()
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return &Store{etcd, o.Log}, nil
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
	revision, err = call(ctx, func(ctx context.Context) (int64, error) {
		has, err := s.etcd.Get(ctx, key)
		if err != nil {
			return 0, err
		}
		if len(has.Kvs) == 1 && bytes.Equal(has.Kvs[0].Value, value) {
			return has.Kvs[0].ModRevision, nil
		}
		put, err := s.etcd.Put(ctx, key, string(value))
		if err != nil {
			return 0, err
		}
		return put.Header.Revision, nil
	})
	if err != nil {
		return 0, fmt.Errorf("put graph of %s: %w", host, err)
	}
	return revision, nil
}

// Sync asks every host to catch up with all that has been written, and to report.
func (s *Store) Sync(ctx context.Context) error {
	_, err := call(ctx, func(ctx context.Context) (*clientv3.PutResponse, error) {
		return s.etcd.Put(ctx, syncKey, "")
	})
	if err != nil {
		return fmt.Errorf("ask hosts to catch up: %w", err)
	}
	return nil
}

// Close ends the connection.
func (s *Store) Close() error {
	_ = s.etcd.Close() // it reports that it was closed
	return nil
}
