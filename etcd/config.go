package etcd

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

const (
	// socketName is short because the path of a socket is: 104 bytes on some systems, with the zero.
	socketName    = "s"
	httpName      = "h"
	maxSocketPath = 103
)

// smallSegments makes etcd's log grow by 4 MiB at a time, and not 64: a store is often empty.
var smallSegments = sync.OnceFunc(func() { wal.SegmentSizeBytes = 4 << 20 })

// serverConfig returns the configuration of a store of one member in o.Dir. The streams of its
// clients end with streams.
func serverConfig(streams context.Context, o ServerOptions, a *Authority, logger *zap.Logger) (*embed.Config, error) {
	smallSegments()
	c := embed.NewConfig()
	c.Name = "spore"
	c.Dir = filepath.Join(o.Dir, "data")
	c.UnsafeNoFsync = o.NoSync
	c.TickMs, c.ElectionMs = 10, 100 // ready in a tenth of a second; the election is most of it
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, "10m"
	c.EnableGRPCGateway = false
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)
	c.GRPCAdditionalServerOptions = []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(guardCall), grpc.ChainStreamInterceptor(guardStream, endWith(streams)),
	}

	// With a listener of its own for HTTP, the other one speaks gRPC alone and without a detour.
	grpcURL, httpURL, err := clientURLs(o.Dir)
	if err != nil {
		return nil, err
	}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{grpcURL}, []url.URL{grpcURL}
	c.ListenClientHttpUrls = []url.URL{httpURL}
	peer := url.URL{Scheme: "https", Host: "127.0.0.1:0"} // no other member has to find it
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = c.Name + "=" + peer.String()

	if c.ClientTLSInfo, err = tlsInfo(o.Dir, "server", a, a.server); err != nil {
		return nil, err
	}
	if c.PeerTLSInfo, err = tlsInfo(o.Dir, "peer", a, a.peer); err != nil {
		return nil, err
	}
	peerNames(&c.PeerTLSInfo)
	c.TlsMinVersion = "TLS1.3"
	return c, nil
}

// clientURLs are two sockets in dir, or, if their paths would be too long, ports of the loopback.
func clientURLs(dir string) (grpc, http url.URL, err error) {
	path := filepath.Join(dir, socketName)
	if len(path) <= maxSocketPath && filepath.IsAbs(path) {
		socket := func(name string) url.URL { return url.URL{Scheme: "unixs", Path: filepath.Join(dir, name)} }
		return socket(socketName), socket(httpName), nil
	}
	// etcd keeps its listeners by the address asked for and tells them apart by nothing else, so
	// the one that has to be known gets a port that is free now.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return url.URL{}, url.URL{}, fmt.Errorf("find a port: %w", err)
	}
	defer l.Close()
	return url.URL{Scheme: "https", Host: l.Addr().String()}, url.URL{Scheme: "https", Host: "localhost:0"}, nil
}

// tlsInfo issues a certificate and writes it to dir, since etcd reads its certificates from files.
func tlsInfo(dir, name string, a *Authority, issue func() (cert, key []byte, err error)) (transport.TLSInfo, error) {
	cert, key, err := issue()
	if err != nil {
		return transport.TLSInfo{}, err
	}
	info := transport.TLSInfo{
		CertFile:       filepath.Join(dir, name+".crt"),
		KeyFile:        filepath.Join(dir, name+".key"),
		TrustedCAFile:  filepath.Join(dir, "ca.crt"),
		ClientCertAuth: true,
	}
	files := map[string][]byte{info.CertFile: cert, info.KeyFile: key, info.TrustedCAFile: a.pem}
	for path, content := range files {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return transport.TLSInfo{}, fmt.Errorf("write certificate: %w", err)
		}
	}
	return info, nil
}

// peerNames has members know each other by the name in their certificates, for addresses change; and
// any host could pose as a member otherwise.
func peerNames(info *transport.TLSInfo) {
	info.ServerName, info.AllowedCNs, info.SkipClientSANVerify = peerName, []string{peerName}, true
}

// endWith ends streams with ctx, which they would else keep open for seconds after a close.
func endWith(ctx context.Context) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		both, cancel := context.WithCancel(stream.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		return handler(srv, &endingStream{stream, both})
	}
}

type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *endingStream) Context() context.Context { return s.ctx }
