package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Dismiss takes host out of the store: its rights, whoever may hold its certificate, and every key
// that is its own. It may be repeated.
func (s *Store) Dismiss(ctx context.Context, host string) error {
	a := s.admission(host)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.permissions, a.user, a.credentials = nil, false, Credentials{}
	if err := s.dismiss(ctx, host); err != nil {
		return fmt.Errorf("dismiss %s: %w", host, err)
	}
	return nil
}

func (s *Store) dismiss(ctx context.Context, host string) error {
	// The user goes first, for it could write again what is taken away.
	_, err := call(ctx, func(ctx context.Context) (*clientv3.AuthUserDeleteResponse, error) {
		return s.etcd.UserDelete(ctx, hostName+host)
	})
	if err != nil && !errors.Is(err, rpctypes.ErrUserNotFound) {
		return fmt.Errorf("delete user: %w", err)
	}
	_, err = call(ctx, func(ctx context.Context) (*clientv3.AuthRoleDeleteResponse, error) {
		return s.etcd.RoleDelete(ctx, hostName+host)
	})
	if err != nil && !errors.Is(err, rpctypes.ErrRoleNotFound) {
		return fmt.Errorf("delete role: %w", err)
	}
	spans, err := s.exportsOf(ctx, host)
	if err != nil {
		return err
	}
	spans = append(spans, span{hostPrefix(host), true})
	for _, key := range []string{graphKey(host), orderKey(host), certKey(host), leavingKey(host), recipientKey(host)} {
		spans = append(spans, span{key, false})
	}
	return s.delete(ctx, spans...)
}

// exportsOf returns where host exports something: a place for each kind.
func (s *Store) exportsOf(ctx context.Context, host string) ([]span, error) {
	all, err := s.get(ctx, span{exportsPrefix, true}, clientv3.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	var spans []span
	for _, kv := range all.Kvs { // sorted, so the same kind follows itself
		segments, ok := splitKey(string(kv.Key), exportsPrefix, 3)
		if !ok || segments[1] != host {
			continue
		}
		sp := span{exportPrefix(segments[0], host), true}
		if len(spans) == 0 || spans[len(spans)-1] != sp {
			spans = append(spans, sp)
		}
	}
	return spans, nil
}
