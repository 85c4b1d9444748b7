package resident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"spore/etcd"
	"spore/internal/secret"
)

func (l Layout) ca() string    { return filepath.Join(l.Store(), "ca.crt") }
func (l Layout) caKey() string { return filepath.Join(l.Store(), "ca.key") }

// removed holds the ID of the member that this host was until the others removed it.
func (l Layout) removed() string { return filepath.Join(l.Store(), "removed") }

// obey makes the host the member that o says, or none if the store holds no order for it.
func (a *hostAgent) obey(ctx context.Context, o *etcd.Order) error {
	if o == nil {
		return a.resign(ctx)
	}
	if o.Cluster != a.config.Cluster {
		return fmt.Errorf("the order is of cluster %s, and this host belongs to %s", o.Cluster, a.config.Cluster)
	}
	serves, err := a.serves(o.Member)
	if err == nil && !serves {
		err = a.enlist(ctx, o)
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(a.layout.membership()); errors.Is(err, fs.ErrNotExist) {
		return nil // it was removed by the others, and the order is about to go
	}
	running, err := a.Services.Running(ctx, StoreService)
	if err == nil && !running {
		err = a.Services.Start(ctx, StoreService)
	}
	return err
}

// serves says whether the host is the member with this ID already, or has been. A founder does not
// know its ID.
func (a *hostAgent) serves(member uint64) (bool, error) {
	var gone uint64
	if err := readJSON(a.layout.removed(), &gone); err == nil && gone == member {
		return true, nil
	}
	var m Membership
	err := readJSON(a.layout.membership(), &m)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return m.Cluster == a.config.Cluster && (m.Member == member || m.Member == 0), nil
}

// enlist prepares the directory of the store, in place of what may be left there of another.
func (a *hostAgent) enlist(ctx context.Context, o *etcd.Order) error {
	key, err := secret.Decrypt(a.identity, o.Authority)
	if err != nil {
		return fmt.Errorf("read the key of the authority: %w", err)
	}
	ca := a.wallet.credentials().CA
	if _, err := etcd.LoadAuthority(ca, key); err != nil {
		return err
	}
	if err := a.clear(ctx); err != nil {
		return err
	}
	if err := makeDir(a.layout.Store()); err != nil {
		return err
	}
	err = writeFile(a.layout.ca(), ca, 0o600)
	if err == nil {
		err = writeFile(a.layout.caKey(), key, 0o600)
	}
	if err == nil { // last: with it the store is one
		err = writeJSON(a.layout.membership(), Membership{
			Cluster: o.Cluster, Host: a.config.Host, Peer: o.Peer, Member: o.Member, Initial: o.Initial, Existing: true,
		})
	}
	if err == nil {
		a.log.Info("this host becomes a member of the store", "peer", o.Peer)
	}
	return err
}

// resign ends the host's store, if there is one, and removes what it holds.
func (a *hostAgent) resign(ctx context.Context) error {
	if _, err := os.Stat(a.layout.Store()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := a.clear(ctx); err != nil {
		return err
	}
	a.log.Info("this host is no member of the store any more")
	return nil
}

func (a *hostAgent) clear(ctx context.Context) error {
	if err := a.Services.Stop(ctx, StoreService); err != nil {
		return err
	}
	return os.RemoveAll(a.layout.Store())
}
