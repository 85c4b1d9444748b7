package etcd

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// The guard stands before etcd, which looks at the keys that a host may touch, but lets everybody
// who has a certificate list the members and make any lease call. The operator passes; a host may
// call what is in open, for leases of its own; nobody else may call anything.
//
// Which leases are a host's own shows in their numbers, of which the guard chooses the upper bits by
// the host's name. So nothing has to be remembered, and every member of a store comes to the same
// answer.

// open are the methods that hosts may call.
var open = map[string]bool{
	"/etcdserverpb.KV/Range":             true,
	"/etcdserverpb.KV/Put":               true,
	"/etcdserverpb.KV/DeleteRange":       true,
	"/etcdserverpb.KV/Txn":               true,
	"/etcdserverpb.Watch/Watch":          true,
	"/etcdserverpb.Lease/LeaseGrant":     true,
	"/etcdserverpb.Lease/LeaseRevoke":    true,
	"/etcdserverpb.Lease/LeaseKeepAlive": true,
}

// errDenied is etcd's own word.
var errDenied = rpctypes.ErrGRPCPermissionDenied

// guardCall is the guard of calls that have one answer.
func guardCall(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	user := userOf(ctx)
	if user == adminName {
		return handler(ctx, req)
	}
	if !strings.HasPrefix(user, hostName) || !open[info.FullMethod] || !mayLease(user, req) {
		return nil, errDenied
	}
	return handler(ctx, req)
}

// guardStream is the guard of streams.
func guardStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	user := userOf(stream.Context())
	switch {
	case user == adminName:
		return handler(srv, stream)
	case !strings.HasPrefix(user, hostName) || !open[info.FullMethod]:
		return errDenied
	}
	return handler(srv, &guardedStream{stream, user})
}

// A guardedStream ends at a message that its user may not send.
type guardedStream struct {
	grpc.ServerStream
	user string
}

func (s *guardedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if !mayLease(s.user, m) {
		return errDenied
	}
	return nil
}

// userOf returns whom the caller's certificate names; nobody without one.
func userOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return ""
	}
	return info.State.VerifiedChains[0][0].Subject.CommonName
}

// mayLease reports whether all leases that a request names are the user's own, and has a lease that
// it asks for become that.
func mayLease(user string, req any) bool {
	switch r := req.(type) {
	case *etcdserverpb.LeaseGrantRequest:
		r.ID = newLease(user)
	case *etcdserverpb.LeaseRevokeRequest:
		return ownLease(user, r.ID)
	case *etcdserverpb.LeaseKeepAliveRequest:
		return ownLease(user, r.ID)
	case *etcdserverpb.PutRequest:
		return r.Lease == 0 || ownLease(user, r.Lease)
	case *etcdserverpb.TxnRequest:
		return mayLeaseAll(user, r.Success) && mayLeaseAll(user, r.Failure)
	}
	return true
}

func mayLeaseAll(user string, ops []*etcdserverpb.RequestOp) bool {
	for _, op := range ops {
		if put := op.GetRequestPut(); put != nil && !mayLease(user, put) {
			return false
		}
		if txn := op.GetRequestTxn(); txn != nil && !mayLease(user, txn) {
			return false
		}
	}
	return true
}

// leaseBits are the lower bits of a lease's number, which are random.
const leaseBits = 23

func ownLease(user string, lease int64) bool { return lease>>leaseBits == leaseOwner(user) }

func newLease(user string) int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return leaseOwner(user)<<leaseBits | int64(binary.BigEndian.Uint64(b[:])&(1<<leaseBits-1))
}

// leaseOwner is the user's part of the numbers of his leases: 40 bits, and never 0.
func leaseOwner(user string) int64 {
	sum := sha256.Sum256([]byte(user))
	return int64(binary.BigEndian.Uint64(sum[:8])>>24 | 1)
}
