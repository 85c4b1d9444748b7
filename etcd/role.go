package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/authpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

type access = clientv3.PermissionType

const (
	read      = access(authpb.READ)
	readWrite = access(authpb.READWRITE)
)

// permissions are what a host that has some already is to have with these grants.
func permissions(host string, has map[span]access, g Grants) map[span]access {
	p := map[span]access{
		{graphKey(host), false}:  read,
		{hostPrefix(host), true}: readWrite,
		{syncKey, false}:         read,
	}
	_, resident := has[span{orderKey(host), false}]
	if resident || g.Resident || g.Bundle != "" {
		p[span{endpointsKey, false}] = read
		p[span{orderKey(host), false}] = read
		p[span{certKey(host), false}] = read
	}
	if g.Bundle != "" {
		p[span{filesPrefixOf(g.Bundle), true}] = read
	}
	for sp, access := range has {
		exports := strings.HasPrefix(sp.key, exportsPrefix) && access == readWrite
		bundle := strings.HasPrefix(sp.key, filesPrefix) && g.Bundle == ""
		if exports || bundle {
			p[sp] = access
		}
	}
	for _, kind := range g.Exports {
		p[span{exportPrefix(kind, host), true}] = readWrite
	}
	for _, kind := range g.Collects {
		p[span{kindPrefix(kind), true}] = read
	}
	for _, key := range g.Keys {
		p[span{valueKey(key), false}] = readWrite
	}
	return p
}

// addRole sees to it that the host has a role and that it is known what that holds.
func (s *Store) addRole(ctx context.Context, a *admission) error {
	if a.permissions != nil {
		return nil
	}
	_, err := call(ctx, func(ctx context.Context) (*clientv3.AuthRoleAddResponse, error) {
		return s.etcd.RoleAdd(ctx, hostName+a.host)
	})
	switch {
	case errors.Is(err, rpctypes.ErrRoleAlreadyExist):
		return s.readRole(ctx, a)
	case err != nil:
		return fmt.Errorf("add role: %w", err)
	}
	a.permissions = make(map[span]access)
	return nil
}

// readRole learns what the host's role holds.
func (s *Store) readRole(ctx context.Context, a *admission) error {
	role, err := call(ctx, func(ctx context.Context) (*clientv3.AuthRoleGetResponse, error) {
		return s.etcd.RoleGet(ctx, hostName+a.host)
	})
	if errors.Is(err, rpctypes.ErrRoleNotFound) {
		return errors.New("it has not been admitted")
	}
	if err != nil {
		return fmt.Errorf("read role: %w", err)
	}
	a.permissions = make(map[span]access, len(role.Perm))
	for _, p := range role.Perm {
		a.permissions[span{string(p.Key), len(p.RangeEnd) > 0}] = access(p.PermType)
	}
	return nil
}

// setRole makes the host's role hold what it is to have with g. It adds before it takes away.
func (s *Store) setRole(ctx context.Context, a *admission, g Grants) (err error) {
	defer func() {
		if err != nil {
			a.permissions, a.user = nil, false // somebody else may have changed them
		}
	}()
	want := permissions(a.host, a.permissions, g)
	for sp, access := range want {
		if has, ok := a.permissions[sp]; ok && has == access {
			continue
		}
		_, err := call(ctx, func(ctx context.Context) (*clientv3.AuthRoleGrantPermissionResponse, error) {
			return s.etcd.RoleGrantPermission(ctx, hostName+a.host, sp.key, sp.end(), access)
		})
		if err != nil {
			return fmt.Errorf("grant %s: %w", sp.key, err)
		}
		a.permissions[sp] = access
	}
	for sp := range a.permissions {
		if _, wanted := want[sp]; wanted {
			continue
		}
		_, err := call(ctx, func(ctx context.Context) (*clientv3.AuthRoleRevokePermissionResponse, error) {
			return s.etcd.RoleRevokePermission(ctx, hostName+a.host, sp.key, sp.end())
		})
		if err != nil && !errors.Is(err, rpctypes.ErrPermissionNotGranted) {
			return fmt.Errorf("take back %s: %w", sp.key, err)
		}
		delete(a.permissions, sp)
	}
	return nil
}
