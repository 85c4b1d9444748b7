package etcd

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"

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

	dataName = "data" // the directory that is etcd's
)

// logLength is how many of the last writes a member keeps in memory, for those who missed them, and
// reads again when it starts: by default thousands, of 1 MiB each if a host so wishes.
const logLength = 500

// smallSegments makes etcd's log grow by 4 MiB at a time, and not 64: a store is often empty.
var smallSegments = sync.OnceFunc(func() { wal.SegmentSizeBytes = 4 << 20 })

// serverConfig returns the configuration of a store of one member that nobody joins.
func serverConfig(o ServerOptions, a *Authority, n *node, logger *zap.Logger) (*embed.Config, error) {
	c, err := newConfig(o.Dir, a, n, logger)
	if err != nil {
		return nil, err
	}
	c.Name = "spore"
	c.UnsafeNoFsync = o.NoSync
	alone(c)
	return c, nil
}

// alone has a member that is the only one elect itself in a tenth of a second, and listen for others
// where none of them looks.
func alone(c *embed.Config) {
	c.TickMs, c.ElectionMs = 10, 100
	peer := url.URL{Scheme: "https", Host: "127.0.0.1:0"}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = c.Name + "=" + peer.String()
}

// newConfig returns what is common to all: a store in dir for clients on this machine.
func newConfig(dir string, a *Authority, n *node, logger *zap.Logger) (*embed.Config, error) {
	smallSegments()
	c := embed.NewConfig()
	c.Dir = filepath.Join(dir, dataName)
	c.SnapshotCount, c.SnapshotCatchUpEntries = logLength, logLength
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, "10m"
	c.EnableGRPCGateway = false
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)
	c.GRPCAdditionalServerOptions = []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(n.gate.call, n.guard.call), grpc.ChainStreamInterceptor(n.gate.stream, n.guard.stream),
	}

	// With a listener of its own for HTTP, the other one speaks gRPC alone and without a detour.
	grpcURL, httpURL, err := clientURLs(dir)
	if err != nil {
		return nil, err
	}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{grpcURL}, []url.URL{grpcURL}
	c.ListenClientHttpUrls = []url.URL{httpURL}

	if c.ClientTLSInfo, err = tlsInfo(dir, serverName, a, a.server); err != nil {
		return nil, err
	}
	if c.PeerTLSInfo, err = tlsInfo(dir, peerName, a, a.peer); err != nil {
		return nil, err
	}
	// Members know each other by name, for addresses change; any host could pose as one otherwise.
	c.PeerTLSInfo.ServerName, c.PeerTLSInfo.AllowedCNs = peerName, []string{peerName}
	c.PeerTLSInfo.SkipClientSANVerify = true
	c.TlsMinVersion = "TLS1.3"
	return c, nil
}

// listening tells where a store with this configuration listens for clients on this machine, and
// keeps other people from it.
func listening(c *embed.Config) (network, address string, err error) {
	u := c.ListenClientUrls[0]
	if u.Scheme != "unixs" {
		return "tcp", u.Host, nil
	}
	err = errors.Join(os.Chmod(u.Path, 0o600), os.Chmod(c.ListenClientHttpUrls[0].Path, 0o600))
	return "unix", u.Path, err
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
