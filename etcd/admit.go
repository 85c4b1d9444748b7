package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Grants are what a host may do beside reading its graph and writing its own report. Everything
// else in the store is closed to it, another's lease included; see the guard.
type Grants struct {
	Exports  []string // kinds it may export
	Collects []string // kinds of which it may read all exports
	Keys     []string // values it may read and write
	// Resident says that the host goes on without an initiator: it may read where the store is, its
	// Order and its certificate.
	Resident bool
	Bundle   string // the digest of what it may fetch; a host that may is Resident
}

// An admission is what is known of the user and the role of one host.
type admission struct {
	host string

	mu          sync.Mutex
	permissions map[span]access // what the role holds; nil while that is unknown
	user        bool            // the user is there, with the role
	credentials Credentials     // once asked for
}

// enableAuth makes the operator's certificate that of a user who may do anything, and everyone
// else's that of one who may do nothing.
func (s *Server) enableAuth(ctx context.Context, log *slog.Logger) error {
	var err error
	if s.admin, err = s.authority.Admin(); err != nil {
		return err
	}
	o := Options{Endpoints: []string{s.Endpoint()}, Credentials: s.admin, Log: log}
	if s.root, err = o.connect(); err != nil {
		return err
	}
	if err := addUser(ctx, s.root, adminName); err != nil {
		return err
	}
	if _, err := call(ctx, s.root.AuthEnable); err != nil {
		return fmt.Errorf("enable authentication: %w", err)
	}
	return nil
}

// Admit makes host a user of the store with these grants and returns its credentials, issued by
// authority. Called again it changes the grants and returns the same credentials; but what a host
// may export it may export for good, for it has to withdraw what it exported, and a host that is
// Resident stays so, with its last Bundle unless there is another.
func (s *Store) Admit(ctx context.Context, authority *Authority, host string, g Grants) (Credentials, error) {
	if host == "" {
		return Credentials{}, errors.New("admit host: it has no name")
	}
	a := s.admission(host)
	a.mu.Lock()
	defer a.mu.Unlock()
	err := s.giveRights(ctx, a, g)
	if err == nil && !a.user { // it comes last: it has all its rights or none
		err = addUser(ctx, s.etcd, hostName+host)
		a.user = err == nil
	}
	if err == nil && a.credentials.Cert == nil {
		a.credentials, err = authority.Host(host)
	}
	if err != nil {
		return Credentials{}, fmt.Errorf("admit %s: %w", host, err)
	}
	return a.credentials, nil
}

// Prepare does the most of what it takes to admit hosts that are new. At each change of a role etcd
// looks through all users: for hundreds of hosts this is best done before there are any.
func (s *Store) Prepare(ctx context.Context, grants map[string]Grants) error {
	for host, g := range grants {
		a := s.admission(host)
		a.mu.Lock()
		err := s.giveRights(ctx, a, g)
		a.mu.Unlock()
		if err != nil {
			return fmt.Errorf("prepare to admit %s: %w", host, err)
		}
	}
	return nil
}

func (s *Store) giveRights(ctx context.Context, a *admission, g Grants) error {
	if err := s.addRole(ctx, a); err != nil {
		return err
	}
	return s.setRole(ctx, a, g)
}

// Regrant is Admit for a host that has been admitted and keeps its credentials. It is Resident.
func (s *Store) Regrant(ctx context.Context, host string, g Grants) error {
	a := s.admission(host)
	a.mu.Lock()
	defer a.mu.Unlock()
	var err error
	if a.permissions == nil {
		err = s.readRole(ctx, a)
	}
	if err == nil {
		g.Resident = true
		err = s.setRole(ctx, a, g)
	}
	if err != nil {
		return fmt.Errorf("change the rights of %s: %w", host, err)
	}
	return nil
}

func (s *Store) admission(host string) *admission {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.admitted[host]
	if !ok {
		a = &admission{host: host}
		s.admitted[host] = a
	}
	return a
}

// addUser makes a user who is known by his certificate alone, with the role of the same name.
func addUser(ctx context.Context, c *clientv3.Client, name string) error {
	_, err := call(ctx, func(ctx context.Context) (*clientv3.AuthUserAddResponse, error) {
		return c.UserAddWithOptions(ctx, name, "", &clientv3.UserAddOptions{NoPassword: true})
	})
	if errors.Is(err, rpctypes.ErrUserAlreadyExist) {
		if ready, err := hasRole(ctx, c, name); ready || err != nil {
			return err
		}
	} else if err != nil {
		return fmt.Errorf("add user %s: %w", name, err)
	}
	_, err = call(ctx, func(ctx context.Context) (*clientv3.AuthUserGrantRoleResponse, error) {
		return c.UserGrantRole(ctx, name, name)
	})
	if err != nil {
		return fmt.Errorf("give user %s its role: %w", name, err)
	}
	return nil
}

// hasRole says whether a user has the role of the same name.
func hasRole(ctx context.Context, c *clientv3.Client, name string) (bool, error) {
	user, err := call(ctx, func(ctx context.Context) (*clientv3.AuthUserGetResponse, error) {
		return c.UserGet(ctx, name)
	})
	if err != nil {
		return false, fmt.Errorf("look at user %s: %w", name, err)
	}
	return slices.Contains(user.Roles, name), nil
}
