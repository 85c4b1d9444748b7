package resident

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"time"

	"spore/etcd"
)

// awaitStore waits until the host's member of the store takes clients.
func (u upgrade) awaitStore(ctx context.Context) error {
	var m Membership
	if err := readJSON(u.layout.membership(), &m); err != nil {
		return err
	}
	var c etcd.Credentials
	if err := readJSON(u.layout.credentials(), &c); err != nil {
		return err
	}
	config, err := c.TLS()
	if err != nil {
		return err
	}
	if eventually(ctx, u.patience, func() bool {
		err = takesClients(ctx, m.Peer, config)
		return err == nil
	}) {
		return nil
	}
	return err
}

// takesClients shakes hands with the member that is known to others as peer. A member does so only
// once it has joined the others.
func takesClients(ctx context.Context, peer string, config *tls.Config) error {
	_, client, err := etcd.URLs(peer)
	if err != nil {
		return err
	}
	at, err := url.Parse(client)
	if err != nil {
		return err
	}
	err = shakeHands(ctx, at.Host, config)
	// It listens on all addresses if the one that others use is not the machine's.
	if err != nil && shakeHands(ctx, net.JoinHostPort("127.0.0.1", at.Port()), config) == nil {
		return nil
	}
	return err
}

func shakeHands(ctx context.Context, address string, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}
