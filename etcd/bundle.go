package etcd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// partSize is how many bytes of a bundle are in one value: few enough for a slow link to carry within
// the time of one call.
const partSize = 512 << 10

// PutBundle stores content, which Fetch gives to the hosts that may, by its digest: its SHA-256 in
// hex. Put it before the graph that names it.
func (s *Store) PutBundle(ctx context.Context, digest string, content []byte) error {
	if err := checkDigest(digest, content); err != nil {
		return fmt.Errorf("put bundle: %w", err)
	}
	// The first part is written each time, so that a Sweep under way lets it be.
	first := content[:min(len(content), partSize)]
	if err := s.put(ctx, partKey(digest, 0), string(first)); err != nil {
		return fmt.Errorf("put bundle: %w", err)
	}
	has, err := s.get(ctx, span{filesPrefixOf(digest), true}, clientv3.WithKeysOnly())
	if err != nil {
		return fmt.Errorf("put bundle: %w", err)
	}
	n := 0
	for part := range slices.Chunk(content[len(first):], partSize) {
		n++
		key := partKey(digest, n)
		if slices.ContainsFunc(has.Kvs, func(kv *mvccpb.KeyValue) bool { return string(kv.Key) == key }) {
			continue
		}
		if err := s.put(ctx, key, string(part)); err != nil {
			return fmt.Errorf("put bundle: %w", err)
		}
	}
	return nil
}

func checkDigest(digest string, content []byte) error {
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != digest {
		return fmt.Errorf("its digest is %x, not %s", sum, digest)
	}
	return nil
}

// Fetch returns the bundle with this digest.
func (c *Client) Fetch(ctx context.Context, digest string) ([]byte, error) {
	return fetch(ctx, c.etcd, digest)
}

// Fetch returns the bundle with this digest.
func (s *Store) Fetch(ctx context.Context, digest string) ([]byte, error) {
	return fetch(ctx, s.etcd, digest)
}

func fetch(ctx context.Context, c *clientv3.Client, digest string) ([]byte, error) {
	var content []byte
	for n := 0; ; n++ {
		part, err := call(ctx, func(ctx context.Context) (*clientv3.GetResponse, error) {
			return c.Get(ctx, partKey(digest, n))
		})
		if err != nil {
			return nil, fmt.Errorf("fetch bundle: %w", err)
		}
		if len(part.Kvs) == 0 {
			break
		}
		content = append(content, part.Kvs[0].Value...)
		if len(part.Kvs[0].Value) < partSize {
			break
		}
	}
	if err := checkDigest(digest, content); err != nil {
		return nil, fmt.Errorf("fetch bundle: what the store holds is not whole: %w", err)
	}
	return content, nil
}

// Sweep takes away the bundles that no graph has named from the last Sweep of this Store on, and
// that have not been put since: one may be there for a graph that is yet to come.
func (s *Store) Sweep(ctx context.Context) error {
	if err := s.sweep(ctx); err != nil {
		return fmt.Errorf("sweep bundles: %w", err)
	}
	return nil
}

func (s *Store) sweep(ctx context.Context) error {
	parts, err := s.get(ctx, span{filesPrefix, true}, clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
	graphs, err := s.Graphs(ctx)
	if err != nil {
		return err
	}
	named := make(map[string]bool)
	for _, g := range graphs {
		named[g.Bundle] = true
	}
	unnamed := make(map[string]int64) // by digest, the revision of the first part, or 0
	for _, kv := range parts.Kvs {
		segments, ok := splitKey(string(kv.Key), filesPrefix, 2)
		if !ok || named[segments[0]] {
			continue
		}
		digest, first := segments[0], int64(0)
		if bytes.Equal(kv.Key, []byte(partKey(digest, 0))) {
			first = kv.ModRevision
		}
		unnamed[digest] = max(unnamed[digest], first)
	}
	s.mu.Lock()
	before := s.unnamed
	s.unnamed = unnamed
	s.mu.Unlock()
	for digest, revision := range unnamed {
		if last, ok := before[digest]; !ok || last != revision {
			continue
		}
		untouched := clientv3.Compare(clientv3.ModRevision(partKey(digest, 0)), "=", revision)
		all := clientv3.OpDelete(filesPrefixOf(digest), clientv3.WithPrefix())
		if _, err := s.txn(ctx, []clientv3.Cmp{untouched}, []clientv3.Op{all}); err != nil {
			return err
		}
	}
	return nil
}
