package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.etcd.io/etcd/api/v3/authpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Grants are what a host may do beside reading its graph and writing its own report. Everything
// else in the store is closed to it, another's lease included; see the guard.
type Grants struct {
	Exports  []string // kinds it may export
	Collects []string // kinds of which it may read all exports
	Keys     []string // values it may read and write
}

// An admission is a host that was let in.
type admission struct {
	credentials Credentials
	exports     map[string]bool // kinds ever granted
	permissions map[span]access // what the host's role holds
}

type access = clientv3.PermissionType

const (
	read      = access(authpb.READ)
	readWrite = access(authpb.READWRITE)
)

// enableAuth makes the operator's certificate that of a user who may do anything, and everyone
// else's that of one who may do nothing.
func (s *Server) enableAuth(ctx context.Context, log *slog.Logger) error {
	cert, key, err := s.authority.client(adminName)
	if err != nil {
		return err
	}
	s.admin = Credentials{Server: serverName, CA: s.authority.pem, Cert: cert, Key: key}
	o := Options{Endpoints: []string{s.Endpoint()}, Credentials: s.admin, Log: log}
	if s.root, err = o.connect(); err != nil {
		return err
	}
	if err := s.addUser(ctx, adminName, adminName); err != nil {
		return err
	}
	if _, err := call(ctx, s.root.AuthEnable); err != nil {
		return fmt.Errorf("enable authentication: %w", err)
	}
	return nil
}

// addUser makes a user who is known by his certificate alone, and gives him the role.
func (s *Server) addUser(ctx context.Context, name, role string) error {
	_, err := call(ctx, func(ctx context.Context) (*clientv3.AuthUserAddResponse, error) {
		return s.root.UserAddWithOptions(ctx, name, "", &clientv3.UserAddOptions{NoPassword: true})
	})
	if err != nil && !errors.Is(err, rpctypes.ErrUserAlreadyExist) {
		return fmt.Errorf("add user %s: %w", name, err)
	}
	_, err = call(ctx, func(ctx context.Context) (*clientv3.AuthUserGrantRoleResponse, error) {
		return s.root.UserGrantRole(ctx, name, role)
	})
	if err != nil {
		return fmt.Errorf("give user %s its role: %w", name, err)
	}
	return nil
}

// Admit makes host a user of the store with these grants and returns its credentials. Called again
// it changes the grants and returns the same credentials; kinds once granted for export stay so,
// for the host has to withdraw what it exported.
func (s *Server) Admit(ctx context.Context, host string, g Grants) (Credentials, error) {
	if host == "" {
		return Credentials{}, errors.New("admit host: it has no name")
	}
	s.admitting.Lock()
	defer s.admitting.Unlock()
	a, known := s.admitted[host]
	if !known {
		var err error
		if a, err = s.newAdmission(ctx, host); err != nil {
			return Credentials{}, fmt.Errorf("admit %s: %w", host, err)
		}
	}
	for _, kind := range g.Exports {
		a.exports[kind] = true
	}
	if err := s.setRole(ctx, a, permissions(host, a.exports, g)); err != nil {
		return Credentials{}, fmt.Errorf("admit %s: %w", host, err)
	}
	if !known {
		// The user comes last: it has all its rights or none.
		if err := s.addUser(ctx, hostName+host, hostName+host); err != nil {
			return Credentials{}, fmt.Errorf("admit %s: %w", host, err)
		}
		s.admitted[host] = a
	}
	return a.credentials, nil
}

func (s *Server) newAdmission(ctx context.Context, host string) (*admission, error) {
	cert, key, err := s.authority.client(hostName + host)
	if err != nil {
		return nil, err
	}
	_, err = call(ctx, func(ctx context.Context) (*clientv3.AuthRoleAddResponse, error) {
		return s.root.RoleAdd(ctx, hostName+host)
	})
	if err != nil && !errors.Is(err, rpctypes.ErrRoleAlreadyExist) {
		return nil, fmt.Errorf("add role: %w", err)
	}
	return &admission{
		credentials: Credentials{Host: host, Server: serverName, CA: s.authority.pem, Cert: cert, Key: key},
		exports:     make(map[string]bool),
		permissions: make(map[span]access),
	}, nil
}

// permissions are what a host with these grants may do to which keys.
func permissions(host string, exports map[string]bool, g Grants) map[span]access {
	p := map[span]access{
		{graphKey(host), false}:  read,
		{hostPrefix(host), true}: readWrite,
		{syncKey, false}:         read,
	}
	for kind := range exports {
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

// setRole makes want the permissions of the host's role. It adds before it takes away.
func (s *Server) setRole(ctx context.Context, a *admission, want map[span]access) error {
	role := hostName + a.credentials.Host
	for sp, access := range want {
		if has, ok := a.permissions[sp]; ok && has == access {
			continue
		}
		_, err := call(ctx, func(ctx context.Context) (*clientv3.AuthRoleGrantPermissionResponse, error) {
			return s.root.RoleGrantPermission(ctx, role, sp.key, sp.end(), access)
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
			return s.root.RoleRevokePermission(ctx, role, sp.key, sp.end())
		})
		if err != nil && !errors.Is(err, rpctypes.ErrPermissionNotGranted) {
			return fmt.Errorf("take back %s: %w", sp.key, err)
		}
		delete(a.permissions, sp)
	}
	return nil
}
