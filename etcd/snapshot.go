package etcd

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
)

// A Mark says what a store holds: two with the same Mark hold the same keys, with the same history
// since the same compaction.
type Mark struct {
	Revision int64
	Hash     uint32 // of the keys and values alone
}

// mark returns what the store holds.
func (n *node) mark() (Mark, error) {
	hash, revision, err := n.embedded.Server.KV().HashStorage().HashByRev(0)
	return Mark{Revision: revision, Hash: hash.Hash}, err
}

// snapshot writes the store's database to w and the SHA-256 of that, as etcd itself does.
func (n *node) snapshot(ctx context.Context, w io.Writer) (Mark, error) {
	before, err := n.mark()
	if err != nil {
		return Mark{}, err
	}
	s := n.embedded.Server.Backend().Snapshot()
	defer s.Close()
	sum := sha256.New()
	if _, err := s.WriteTo(untilDone{ctx, io.MultiWriter(w, sum)}); err != nil {
		return Mark{}, cmp.Or(context.Cause(ctx), err)
	}
	if _, err := w.Write(sum.Sum(nil)); err != nil {
		return Mark{}, err
	}
	after, err := n.mark()
	if err == nil && after != before {
		err = errors.New("the store has changed meanwhile")
	}
	return after, err
}

// An untilDone writes until ctx is done.
type untilDone struct {
	ctx context.Context
	w   io.Writer
}

func (u untilDone) Write(p []byte) (int, error) {
	if err := context.Cause(u.ctx); err != nil {
		return 0, err
	}
	return u.w.Write(p)
}
