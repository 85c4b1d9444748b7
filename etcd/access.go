package etcd

import (
	"context"
	"encoding/json"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// get reads what is at sp.
func (s *Store) get(ctx context.Context, sp span, o ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if sp.prefix {
		o = append(o, clientv3.WithPrefix())
	}
	return call(ctx, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.etcd.Get(ctx, sp.key, o...)
	})
}

func (s *Store) put(ctx context.Context, key, value string) error {
	_, err := call(ctx, func(ctx context.Context) (*clientv3.PutResponse, error) {
		return s.etcd.Put(ctx, key, value)
	})
	return err
}

func (s *Store) putJSON(ctx context.Context, key string, v any) error {
	value, err := encode(v)
	if err == nil {
		err = checkSize(value)
	}
	if err != nil {
		return err
	}
	return s.put(ctx, key, string(value))
}

// getJSON reads the value of key into v and says whether there is one.
func (s *Store) getJSON(ctx context.Context, key string, v any) (ok bool, err error) {
	found, err := s.get(ctx, span{key: key})
	if err != nil || len(found.Kvs) == 0 {
		return false, err
	}
	return true, json.Unmarshal(found.Kvs[0].Value, v)
}

// puts returns what writes these values, as JSON, by key.
func puts(values map[string]any) ([]clientv3.Op, error) {
	var ops []clientv3.Op
	for key, v := range values {
		value, err := encode(v)
		if err != nil {
			return nil, err
		}
		ops = append(ops, clientv3.OpPut(key, string(value)))
	}
	return ops, nil
}

// delete takes away what is at spans.
func (s *Store) delete(ctx context.Context, spans ...span) error {
	for len(spans) > 0 {
		n := min(len(spans), maxOps)
		ops := make([]clientv3.Op, n)
		for i, sp := range spans[:n] {
			ops[i] = clientv3.OpDelete(sp.key)
			if sp.prefix {
				ops[i] = clientv3.OpDelete(sp.key, clientv3.WithPrefix())
			}
		}
		if _, err := s.txn(ctx, nil, ops); err != nil {
			return err
		}
		spans = spans[n:]
	}
	return nil
}

// txn makes one transaction: then if all comparisons hold, else otherwise.
func (s *Store) txn(ctx context.Context, when []clientv3.Cmp, then []clientv3.Op, otherwise ...clientv3.Op) (*clientv3.TxnResponse, error) {
	return call(ctx, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return s.etcd.Txn(ctx).If(when...).Then(then...).Else(otherwise...).Commit()
	})
}

// byHost reads what is under prefix: one value, as JSON, for each host.
func byHost[T any](ctx context.Context, s *Store, prefix string) (map[string]T, error) {
	found, err := s.get(ctx, span{prefix, true})
	if err != nil {
		return nil, err
	}
	all := make(map[string]T, len(found.Kvs))
	for _, kv := range found.Kvs {
		segments, ok := splitKey(string(kv.Key), prefix, 1)
		if !ok {
			continue
		}
		var v T
		if err := json.Unmarshal(kv.Value, &v); err != nil {
			return nil, fmt.Errorf("of %s: %w", segments[0], err)
		}
		all[segments[0]] = v
	}
	return all, nil
}
