package etcd

import (
	"context"
	"crypto/rand"
	"errors"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A try that was given up for lost may still arrive: it may wait in a member that is stopped, or on a
// link that is cut, while the next try goes by way of another member. It must not undo what was
// written since. So each write of a host's replaces a key of the host's own, its fence, as it was
// after the last, and comes to nothing if that has changed.

// maxFenced is how often a write is begun again that finds the fence changed: by the agent before
// this one, and by late tries of its own.
const maxFenced = 10

var errFenced = errors.New("another agent writes for this host")

// fenced carries out ops, all or none, after all that was fenced before, and never after what is
// fenced later. The caller holds writing.
func (s *session) fenced(ctx context.Context, ops ...clientv3.Op) error {
	key := fenceKey(s.host)
	for range maxFenced {
		token := rand.Text()
		then := append(ops[:len(ops):len(ops)], clientv3.OpPut(key, token))
		done, err := call(ctx, func(ctx context.Context) (*clientv3.TxnResponse, error) {
			return s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", s.fence)).
				Then(then...).Else(clientv3.OpGet(key)).Commit()
		})
		if err != nil {
			return err
		}
		s.saw(done.Header.Revision)
		if done.Succeeded {
			s.fence = done.Header.Revision
			return nil
		}
		s.fence = 0
		if found := done.Responses[0].GetResponseRange().Kvs; len(found) > 0 {
			s.fence = found[0].ModRevision
			if string(found[0].Value) == token {
				return nil // an earlier try of this very write, whose answer was lost
			}
		}
	}
	return errFenced
}

// do carries out op when it is its turn.
func (s *session) do(ctx context.Context, op clientv3.Op) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	return s.fenced(ctx, op)
}
