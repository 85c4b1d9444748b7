package etcd

import "context"

// Fetch returns the bundle with this digest.
func (s *Store) Fetch(ctx context.Context, digest string) ([]byte, error) {
	return (&Client{etcd: s.etcd}).Fetch(ctx, digest)
}
