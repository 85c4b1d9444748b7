package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// Options tell how to reach a store.
type Options struct {
	Endpoints   []string // unix:///path, host:port or https://host:port
	Credentials Credentials
	Log         *slog.Logger
	// Dialer, if given, opens the connections in place of the network: a tunnel.
	Dialer func(context.Context) (net.Conn, error)

	// Certificate, if given, is asked at each handshake, in place of what Credentials hold.
	Certificate func() (*tls.Certificate, error)

	// What follows is for Dial only.
	Host string        // the host's name; that in Credentials if empty
	TTL  time.Duration // how long the host's exports and report outlive it; 30 s if zero
	// Predecessor is the lease of the host's last client, or 0. What that exported stays until the
	// first settled report of this one is written: what is not exported again by then goes at once.
	Predecessor int64

	hold func() // called before what arrives on the watches is handled, for tests to delay it
}

const (
	callTimeout  = 10 * time.Second // of one request with its retries
	tryTimeout   = 5 * time.Second  // of one try; without a valid certificate a try never fails
	retryPause   = 100 * time.Millisecond
	maxReconnect = time.Second
)

// connect returns a client of etcd, which connects by itself when it has something to send.
func (o Options) connect() (*clientv3.Client, error) {
	if len(o.Endpoints) == 0 {
		return nil, errors.New("no endpoint given")
	}
	config, err := o.tls()
	if err != nil {
		return nil, err
	}
	dial := []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: retryPause, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxReconnect},
		MinConnectTimeout: tryTimeout,
	})}
	if config.ServerName != "" {
		dial = append(dial, grpc.WithTransportCredentials(namedTLS{credentials.NewTLS(config), config.ServerName}))
	}
	if o.Dialer != nil {
		dial = append(dial, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return o.Dialer(ctx)
		}))
	}
	return clientv3.New(clientv3.Config{
		Endpoints:            o.Endpoints,
		TLS:                  config,
		DialOptions:          dial,
		DialKeepAliveTime:    10 * time.Second, // finds a connection that died without a word
		DialKeepAliveTimeout: 5 * time.Second,
		Logger:               newZap(o.Log, func(string) {}),
	})
}

func (o Options) tls() (*tls.Config, error) {
	if o.Certificate == nil {
		return o.Credentials.TLS()
	}
	return o.Credentials.tlsWith(func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Certificate() })
}

// namedTLS expects the server to have this name, and not that of the endpoint, which may be the end
// of a tunnel.
type namedTLS struct {
	credentials.TransportCredentials
	name string
}

func (n namedTLS) ClientHandshake(ctx context.Context, _ string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return n.TransportCredentials.ClientHandshake(ctx, n.name, c)
}

func (n namedTLS) Clone() credentials.TransportCredentials {
	return namedTLS{n.TransportCredentials.Clone(), n.name}
}

// call makes a request, again after errors that pass by themselves, for at most callTimeout. The
// request must be one that may be repeated.
func call[T any](ctx context.Context, request func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for {
		try, cancel := context.WithTimeout(ctx, tryTimeout)
		answer, err := request(try)
		cancel()
		if err == nil || !passes(err) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, fmt.Errorf("the store does not answer: %w", err)
		case <-time.After(retryPause):
		}
	}
}

// passes says whether the same request may succeed a little later.
func passes(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true
	}
	// Somebody's rights were changed between this request's arrival and its turn.
	if errors.Is(err, rpctypes.ErrAuthOldRevision) {
		return true
	}
	// The store ended a stream before it could have the request. Why, only the next try can tell.
	if errors.Is(err, io.EOF) {
		return true
	}
	var etcd rpctypes.EtcdError
	if errors.As(err, &etcd) {
		return etcd.Code() == codes.Unavailable || etcd.Code() == codes.DeadlineExceeded
	}
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded
}
