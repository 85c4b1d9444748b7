package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Cluster returns the cluster that the store belongs to, if it does to one.
func (s *Store) Cluster(ctx context.Context) (c Cluster, ok bool, err error) {
	ok, err = s.getJSON(ctx, clusterKey, &c)
	if err != nil {
		return Cluster{}, false, fmt.Errorf("get cluster: %w", err)
	}
	return c, ok, nil
}

// Commit makes the store that of cluster c: all at once it writes what the cluster is, where its
// store is and the order of its first member. A store that belongs to another cluster stays so, and
// that is an error.
func (s *Store) Commit(ctx context.Context, c Cluster, endpoints []string, host string, o Order) error {
	then, err := puts(map[string]any{clusterKey: c, endpointsKey: endpoints, orderKey(host): o})
	if err != nil {
		return fmt.Errorf("commit cluster: %w", err)
	}
	none := clientv3.Compare(clientv3.CreateRevision(clusterKey), "=", 0)
	done, err := s.txn(ctx, []clientv3.Cmp{none}, then, clientv3.OpGet(clusterKey))
	if err != nil {
		return fmt.Errorf("commit cluster: %w", err)
	}
	if done.Succeeded {
		return nil
	}
	var has Cluster
	if err := json.Unmarshal(done.Responses[0].GetResponseRange().Kvs[0].Value, &has); err != nil {
		return fmt.Errorf("commit cluster: the store belongs to one that cannot be read: %w", err)
	}
	if has.ID != c.ID { // else it was this very commit, whose answer was lost
		return fmt.Errorf("commit cluster: the store belongs to cluster %s (%s) already", has.Name, has.ID)
	}
	return nil
}

// Endpoints returns where hosts reach the store: the URLs for clients.
func (s *Store) Endpoints(ctx context.Context) (endpoints []string, err error) {
	if _, err := s.getJSON(ctx, endpointsKey, &endpoints); err != nil {
		return nil, fmt.Errorf("get endpoints: %w", err)
	}
	return endpoints, nil
}

// PutEndpoints tells the hosts where they reach the store.
func (s *Store) PutEndpoints(ctx context.Context, endpoints []string) error {
	if err := s.putJSON(ctx, endpointsKey, endpoints); err != nil {
		return fmt.Errorf("put endpoints: %w", err)
	}
	return nil
}

// Orders returns the orders by host.
func (s *Store) Orders(ctx context.Context) (map[string]Order, error) {
	orders, err := byHost[Order](ctx, s, ordersPrefix)
	if err != nil {
		return nil, fmt.Errorf("get orders: %w", err)
	}
	return orders, nil
}

// PutOrder has host serve the store.
func (s *Store) PutOrder(ctx context.Context, host string, o Order) error {
	if err := s.putJSON(ctx, orderKey(host), o); err != nil {
		return fmt.Errorf("put order of %s: %w", host, err)
	}
	return nil
}

// DropOrder has host stop to serve the store, and remove what it holds of it.
func (s *Store) DropOrder(ctx context.Context, host string) error {
	if err := s.delete(ctx, span{key: orderKey(host)}); err != nil {
		return fmt.Errorf("drop order of %s: %w", host, err)
	}
	return nil
}

// Leaving returns the hosts that are to be dismissed, sorted.
func (s *Store) Leaving(ctx context.Context) ([]string, error) {
	found, err := byHost[bool](ctx, s, leavingPrefix)
	if err != nil {
		return nil, fmt.Errorf("get leaving hosts: %w", err)
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// MarkLeaving says that host is to be dismissed once the store can do without it.
func (s *Store) MarkLeaving(ctx context.Context, host string) error {
	if err := s.putJSON(ctx, leavingKey(host), true); err != nil {
		return fmt.Errorf("mark %s as leaving: %w", host, err)
	}
	return nil
}
