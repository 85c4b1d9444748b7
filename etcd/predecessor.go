package etcd

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A predecessor is the lease of the client that a host had before. It is kept alive while its
// successor has yet to make what it exports itself, which takes the keys over, and revoked then: so
// what both export never goes, and what only the last did goes at once.
type predecessor struct {
	client *clientv3.Client
	lease  clientv3.LeaseID
	ttl    time.Duration
	log    *slog.Logger
	ctx    context.Context

	once    sync.Once
	settled chan struct{} // closed when it is to go
	gone    bool          // belongs to run, until that has ended
}

// newPredecessor returns that of session, with the same end.
func newPredecessor(s *session, lease int64) *predecessor {
	return &predecessor{
		client: s.client, lease: clientv3.LeaseID(lease), ttl: s.ttl, log: s.log, ctx: s.ctx,
		settled: make(chan struct{}),
	}
}

// retire says that the successor exports all that it has to. It does not wait.
func (p *predecessor) retire() { p.once.Do(func() { close(p.settled) }) }

func (p *predecessor) run() {
	if p.lease == clientv3.NoLease {
		return
	}
	p.keep()
	for p.ctx.Err() == nil && !p.gone {
		_, err := call(p.ctx, func(ctx context.Context) (*clientv3.LeaseRevokeResponse, error) {
			return p.client.Revoke(ctx, p.lease)
		})
		p.note(err)
		p.gone = p.gone || err == nil
	}
}

// keep keeps the lease alive until its successor is settled.
func (p *predecessor) keep() {
	for pause := time.Duration(0); !p.gone; pause = p.ttl / 3 {
		select {
		case <-p.ctx.Done():
			return
		case <-p.settled:
			return
		case <-time.After(pause):
		}
		_, err := call(p.ctx, func(ctx context.Context) (*clientv3.LeaseKeepAliveResponse, error) {
			return p.client.KeepAliveOnce(ctx, p.lease)
		})
		p.note(err)
	}
}

// note takes up what the store says of the lease.
func (p *predecessor) note(err error) {
	switch {
	case err == nil || passes(err) || p.ctx.Err() != nil:
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		p.gone = true
	default:
		p.refused(err)
	}
}

// refused says that the store will not have the lease touched, ever.
func (p *predecessor) refused(err error) {
	p.gone = true
	p.log.Warn("cannot take over what this host exported before, it vanishes by itself", "error", err)
}

// revoke ends what is left of it. It has ended to run, maybe before it could know what becomes of
// the lease: as there, one that was never this host's does no harm.
func (p *predecessor) revoke(ctx context.Context) error {
	if p.lease == clientv3.NoLease || p.gone {
		return nil
	}
	err := revoke(ctx, p.client, p.lease)
	if err == nil || passes(err) {
		return err
	}
	p.refused(err)
	return nil
}
