package resident

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"spore/etcd"
	"spore/internal/secret"
)

// lead writes who serves the store now: this member and nobody else.
func (r *revival) lead(ctx context.Context, endpoints []string) error {
	if err := serves(ctx, r.member.Peer, r.authority); err != nil {
		return err
	}
	store, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	order, err := r.order(ctx, store)
	if err != nil {
		return err
	}
	orders, err := store.Orders(ctx)
	if err != nil {
		return err
	}
	for host := range orders {
		if host != r.member.Host {
			if err := store.DropOrder(ctx, host); err != nil {
				return err
			}
		}
	}
	if err := store.PutOrder(ctx, r.member.Host, order); err != nil {
		return err
	}
	if err := store.PutEndpoints(ctx, endpoints); err != nil {
		return err
	}
	return writeJSON(r.layout.endpoints(), endpoints)
}

// open opens the store of this very member.
func (r *revival) open(ctx context.Context) (*etcd.Store, error) {
	admin, err := r.authority.Admin()
	if err != nil {
		return nil, err
	}
	_, client, err := etcd.URLs(r.member.Peer)
	if err != nil {
		return nil, err
	}
	return etcd.Open(ctx, etcd.Options{
		Endpoints: []string{client}, Credentials: admin, Log: slog.New(slog.DiscardHandler),
		Dialer: func(ctx context.Context) (net.Conn, error) { return dialSelf(ctx, client) },
	})
}

// order is the order of the only member.
func (r *revival) order(ctx context.Context, store *etcd.Store) (etcd.Order, error) {
	members, err := store.Members(ctx)
	if err != nil {
		return etcd.Order{}, err
	}
	i := slices.IndexFunc(members, func(m etcd.Member) bool { return m.Host == r.member.Host })
	if i < 0 || len(members) != 1 {
		return etcd.Order{}, fmt.Errorf("the revived store has %d members instead of this host alone", len(members))
	}
	identity, err := os.ReadFile(r.layout.identity())
	if err != nil {
		return etcd.Order{}, err
	}
	recipient, err := secret.RecipientOf(strings.TrimSpace(string(identity)))
	if err != nil {
		return etcd.Order{}, err
	}
	key, err := r.authority.Key()
	if err != nil {
		return etcd.Order{}, err
	}
	sealed, err := secret.Encrypt(recipient, key)
	if err != nil {
		return etcd.Order{}, err
	}
	peer, _, err := etcd.URLs(r.member.Peer)
	return etcd.Order{
		Member: members[i].ID, Cluster: r.member.Cluster, Peer: r.member.Peer,
		Initial: map[string]string{r.member.Host: peer}, Authority: sealed,
	}, err
}

// dialSelf connects to this machine's port of a URL: where its address is another machine's, that
// may not let it back in.
func dialSelf(ctx context.Context, client string) (net.Conn, error) {
	u, err := url.Parse(client)
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", u.Port()))
	}
	return conn, err
}
