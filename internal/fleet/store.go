package fleet

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strings"

	"spore/etcd"
	"spore/internal/cluster"
)

// Embedded opens a store in this process, in a private directory that goes with it.
func Embedded(ctx context.Context, log *slog.Logger) (_ *Store, err error) {
	dir, release, err := makeStoreDir()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, release())
		}
	}()
	server, err := etcd.Start(ctx, etcd.ServerOptions{Dir: dir, Log: log, NoSync: true})
	if err != nil {
		return nil, err
	}
	client, err := etcd.Open(ctx, etcd.Options{
		Endpoints: []string{server.Endpoint()}, Credentials: server.Admin(), Log: log,
	})
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	admit := func(ctx context.Context, host string, g etcd.Grants) (etcd.Credentials, error) {
		return client.Admit(ctx, server.Authority(), host, g)
	}
	return &Store{
		Store: client, Server: server, Dir: dir, Dial: server.Dial, Admit: admit, Prepare: client.Prepare, Done: server.Done(), Err: server.Err,
		End: func() error { return errors.Join(client.Close(), server.Close(), release()) },
	}, nil
}

// Linked is the store of a detached fleet. To end it leaves the link to its owner.
func Linked(link *cluster.Link, authority *etcd.Authority) *Store {
	return &Store{
		Store: link.Store, Link: link, Dial: link.Dial,
		Admit: func(ctx context.Context, host string, g etcd.Grants) (etcd.Credentials, error) {
			return link.Store.Admit(ctx, authority, host, g)
		},
		Done: make(chan struct{}), // if it is out of reach, the link looks for another way
		Err:  func() error { return nil },
		End:  func() error { return nil },
	}
}

// Already returns a store that is open.
func Already(s *Store) func(context.Context, *slog.Logger) (*Store, error) {
	return func(context.Context, *slog.Logger) (*Store, error) { return s, nil }
}

// External opens a store that runs elsewhere. It is the caller's, and so are its users: every host
// is handed the same credentials.
func External(seeds []string, c etcd.Credentials) func(context.Context, *slog.Logger) (*Store, error) {
	return func(ctx context.Context, log *slog.Logger) (*Store, error) {
		client, err := etcd.Open(ctx, etcd.Options{Endpoints: seeds, Credentials: c, Log: log})
		if err != nil {
			return nil, err
		}
		return &Store{
			Store: client,
			Dial:  func(ctx context.Context) (net.Conn, error) { return dialAny(ctx, seeds) },
			Admit: func(context.Context, string, etcd.Grants) (etcd.Credentials, error) { return c, nil },
			Done:  make(chan struct{}), // if it ends, the client waits for it to come back
			Err:   func() error { return nil },
			End:   client.Close,
		}, nil
	}
}

func dialAny(ctx context.Context, endpoints []string) (net.Conn, error) {
	var errs []error
	for _, e := range endpoints {
		network, address := "tcp", e
		if u, err := url.Parse(e); err == nil && u.Host != "" {
			address = u.Host
		} else if path, ok := strings.CutPrefix(e, "unix://"); ok {
			network, address = "unix", path
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
