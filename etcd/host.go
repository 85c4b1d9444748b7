package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

// SetEndpoints has the client reach the store at endpoints from now on.
func (c *Client) SetEndpoints(endpoints []string) {
	if len(endpoints) > 0 {
		c.etcd.SetEndpoints(endpoints...)
	}
}

// FollowEndpoints calls f with where the store is to be reached, if it tells, and again at each
// change, until ctx is done (then it returns nil). f does not block.
func (c *Client) FollowEndpoints(ctx context.Context, f func(endpoints []string)) error {
	return c.stream.follow(ctx, span{key: endpointsKey}, func(ch change) {
		for _, e := range ch.events {
			if isDelete(e) {
				continue
			}
			var endpoints []string
			if err := json.Unmarshal(e.Kv.Value, &endpoints); err != nil {
				c.log.Error("cannot read where the store is", "error", err)
				continue
			}
			f(endpoints)
		}
	})
}

// FollowCertificate calls f with the certificate, PEM, that the store holds for the host, if there
// is one, and with each later one, until ctx is done (then it returns nil). f does not block. It may
// be one that the host has had already.
func (c *Client) FollowCertificate(ctx context.Context, f func(certificate []byte)) error {
	return c.stream.follow(ctx, span{key: certKey(c.host)}, func(ch change) {
		for _, e := range ch.events {
			if !isDelete(e) {
				f(e.Kv.Value)
			}
		}
	})
}

// RequestCertificate asks for a certificate for the key of request, PEM. FollowCertificate brings it.
func (c *Client) RequestCertificate(ctx context.Context, request []byte) error {
	_, err := call(ctx, func(ctx context.Context) (*clientv3.PutResponse, error) {
		return c.etcd.Put(ctx, requestKey(c.host), string(request))
	})
	if err != nil {
		return fmt.Errorf("request certificate: %w", err)
	}
	return nil
}

// FollowOrder calls f with the host's order, or nil if the store says that there is none, and again
// at each change, until ctx is done (then it returns nil) or the store refuses. Since f may do what
// cannot be undone, it is never told what was the case once: what a watch brings is only the reason
// to read anew, of a majority of the members.
func (c *Client) FollowOrder(ctx context.Context, f func(*Order)) error {
	changed := make(chan struct{}, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return c.stream.follow(ctx, span{key: orderKey(c.host)}, func(change) {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	})
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			}
			if err := c.tellOrder(ctx, f); err != nil && ctx.Err() == nil {
				return fmt.Errorf("follow order: %w", err)
			}
		}
	})
	return group.Wait()
}

// tellOrder reads the order and tells f, as soon as the store answers.
func (c *Client) tellOrder(ctx context.Context, f func(*Order)) error {
	for {
		found, err := call(ctx, func(ctx context.Context) (*clientv3.GetResponse, error) {
			return c.etcd.Get(ctx, orderKey(c.host))
		})
		switch {
		case err == nil && len(found.Kvs) == 0:
			f(nil)
			return nil
		case err == nil:
			var o Order
			if err := json.Unmarshal(found.Kvs[0].Value, &o); err != nil {
				c.log.Error("cannot read the order to serve the store", "error", err)
				return nil
			}
			f(&o)
			return nil
		case !passes(err):
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryPause):
		}
	}
}
