package resident

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"spore/etcd"
)

// foundPatience is how long the first member may take to serve.
const foundPatience = 30 * time.Second

// Found makes this host the first member of its fleet's store, which holds what the snapshot does,
// and returns once it serves. Unless somebody commits to it in time it takes itself away. What an
// earlier founding left that came to nothing gives way.
func Found(ctx context.Context, l Layout, snapshot string, f Founding) error {
	err := privileged()
	if err == nil {
		err = l.change(ctx, func() error { return found(ctx, l, l.Services(), snapshot, f) })
	}
	if err != nil {
		return fmt.Errorf("found: %w", err)
	}
	return nil
}

func found(ctx context.Context, l Layout, services Services, snapshot string, f Founding) error {
	if err := l.belongsTo(f.Cluster); err != nil {
		return err
	}
	state, err := l.storeState()
	switch {
	case err != nil:
		return err
	case state == StoreMember:
		return errors.New("this host serves the store of its fleet already")
	}
	if err := takeStore(ctx, l, services); err != nil {
		return err
	}
	authority, err := etcd.LoadAuthority(f.CA, f.CAKey)
	if err != nil {
		return err
	}
	peer, _, err := etcd.URLs(f.Peer)
	if err != nil {
		return err
	}
	if err := makeDir(l.Store()); err != nil {
		return err
	}
	if err := l.placeAuthority(authority); err != nil {
		return err
	}
	initial := map[string]string{f.Host: peer}
	err = etcd.Restore(ctx, snapshot, etcd.MemberOptions{
		Dir: l.Store(), Name: f.Host, Peer: f.Peer, Initial: initial, Cluster: f.Cluster, Authority: authority,
		Log: slog.New(slog.DiscardHandler), // what goes wrong is returned
	})
	if err != nil {
		return errors.Join(err, os.RemoveAll(l.Store()))
	}
	// Last: without it there is no store.
	err = writeJSON(l.membership(), Membership{
		Cluster: f.Cluster, Host: f.Host, Peer: f.Peer, Initial: initial, Until: time.Now().Add(f.CommitWithin),
	})
	if err == nil {
		err = services.Start(ctx, StoreService)
	}
	if err == nil {
		err = serves(ctx, f.Peer, authority)
	}
	if err != nil {
		return errors.Join(err, takeStore(ctx, l, services))
	}
	return nil
}

// placeAuthority puts the certificate authority of the cluster where the store finds it.
func (l Layout) placeAuthority(a *etcd.Authority) error {
	key, err := a.Key()
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(l.Store(), "ca.crt"), a.Certificate(), 0o600); err != nil {
		return err
	}
	return writeFile(filepath.Join(l.Store(), "ca.key"), key, 0o600)
}

// serves waits until the member that is known to others as peer takes clients.
func serves(ctx context.Context, peer string, a *etcd.Authority) error {
	admin, err := a.Admin()
	if err != nil {
		return err
	}
	config, err := admin.TLS()
	if err != nil {
		return err
	}
	if !eventually(ctx, foundPatience, func() bool {
		err = takesClients(ctx, peer, config)
		return err == nil
	}) {
		return err
	}
	return nil
}
