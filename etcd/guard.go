package etcd

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// The guard stands before etcd, which looks at the keys that a host may touch, but lets everybody
// who has a certificate list the members and make any lease call, and a watch that has begun go on.
// The operator passes; a host may call what is in open, for leases of its own, while it is a user of
// the store; nobody else may call anything.
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

// A guard is that of one member.
type guard struct {
	server  atomic.Pointer[etcdserver.EtcdServer] // once it has started
	budgets sync.Map                              // *budget by user
}

// call guards calls that have one answer.
func (g *guard) call(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	user := userOf(ctx)
	if user == adminName {
		return handler(ctx, req)
	}
	if !mayCall(user, info.FullMethod) || !mayLease(user, req) {
		return nil, errDenied
	}
	if err := g.admits(ctx, user); err != nil {
		return nil, err
	}
	b, ok := g.budgets.Load(user)
	if !ok {
		b, _ = g.budgets.LoadOrStore(user, newBudget())
	}
	if err := b.(*budget).spend(ctx, g.server.Load(), user, req); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func mayCall(user, method string) bool { return strings.HasPrefix(user, hostName) && open[method] }

// stream guards streams.
func (g *guard) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	user := userOf(stream.Context())
	if user == adminName {
		return handler(srv, stream)
	}
	if !mayCall(user, info.FullMethod) {
		return errDenied
	}
	if err := g.admits(stream.Context(), user); err != nil {
		return err
	}
	ctx, expel := context.WithCancelCause(stream.Context())
	var patrol sync.WaitGroup
	defer patrol.Wait() // or it would look at what etcd closes next
	defer expel(nil)
	patrol.Go(func() { g.patrol(ctx, user, expel) })
	err := handler(srv, &guardedStream{stream, ctx, user})
	if errors.Is(context.Cause(ctx), errDenied) {
		return errDenied
	}
	return err
}

// patrolPause is about how long the streams of a user who was dismissed may go on.
const patrolPause = time.Second

// patrol expels the user once it is none any more.
func (g *guard) patrol(ctx context.Context, user string, expel context.CancelCauseFunc) {
	ticker := time.NewTicker(patrolPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if errors.Is(g.admits(ctx, user), errDenied) {
			expel(errDenied)
			return
		}
	}
}

// admits returns an error unless the user is one of the store's.
func (g *guard) admits(ctx context.Context, user string) error {
	server := g.server.Load()
	if server == nil || server.IsLearner() { // who does not know yet
		return errShut
	}
	if isUser(server, user) {
		return nil
	}
	// This member may be behind the one that admitted it.
	if err := server.LinearizableReadNotify(ctx); err != nil {
		return errShut
	}
	if isUser(server, user) {
		return nil
	}
	return errDenied
}

func isUser(server *etcdserver.EtcdServer, name string) bool {
	_, err := server.AuthStore().UserGet(&etcdserverpb.AuthUserGetRequest{Name: name})
	return err == nil
}

// A guardedStream ends at a message that its user may not send, and with ctx.
type guardedStream struct {
	grpc.ServerStream
	ctx  context.Context
	user string
}

func (s *guardedStream) Context() context.Context { return s.ctx }

func (s *guardedStream) SendMsg(m any) error {
	if s.ctx.Err() != nil {
		return errDenied
	}
	return s.ServerStream.SendMsg(m)
}

func (s *guardedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if s.ctx.Err() != nil || !mayLease(s.user, m) {
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
	may := true
	each(req, func(r any) {
		switch r := r.(type) {
		case *etcdserverpb.LeaseGrantRequest:
			r.ID = newLease(user)
		case *etcdserverpb.LeaseRevokeRequest:
			may = may && ownLease(user, r.ID)
		case *etcdserverpb.LeaseKeepAliveRequest:
			may = may && ownLease(user, r.ID)
		case *etcdserverpb.PutRequest:
			may = may && (r.Lease == 0 || ownLease(user, r.Lease))
		}
	})
	return may
}

// each calls f with req or, if that is a transaction, with all that it might do, either way.
func each(req any, f func(req any)) {
	txn, ok := req.(*etcdserverpb.TxnRequest)
	if !ok {
		f(req)
		return
	}
	for _, op := range slices.Concat(txn.Success, txn.Failure) {
		switch op := op.GetRequest().(type) {
		case *etcdserverpb.RequestOp_RequestPut:
			f(op.RequestPut)
		case *etcdserverpb.RequestOp_RequestDeleteRange:
			f(op.RequestDeleteRange)
		case *etcdserverpb.RequestOp_RequestTxn:
			each(op.RequestTxn, f)
		}
	}
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
