package etcd

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A store that has come to etcd's quota, 2 GiB, takes no more writes, whoever makes them. So a host
// may hold only so much of it. And since etcd keeps the past for 10 to 20 minutes, a host may write
// only so much, be it always the same key. One host cannot fill the store then: it comes to some
// 140 MiB through one member, and to half of the quota through five.
const (
	maxHeld   = 32 << 20 // bytes that a host may hold, and write at once
	writeRate = 64 << 10 // bytes a second that it may write for long
	keyCost   = 1 << 10  // what a key takes beside itself and its value, and any write
	maxLeases = 64
)

var (
	errHeld = status.Errorf(codes.ResourceExhausted,
		"this host would hold more than the %d MiB that a host may have in the store, %d KiB for each key included: have it export less",
		maxHeld>>20, keyCost>>10)
	errHaste = status.Errorf(codes.ResourceExhausted,
		"this host writes to the store too fast: a host may write %d MiB at once and %d KiB a second after that, %d KiB for each key included",
		maxHeld>>20, writeRate>>10, keyCost>>10)
	errLeases = status.Errorf(codes.ResourceExhausted, "this host has the %d leases that a host may have", maxLeases)
)

// A budget is what one host may still write through one member. What the host holds is reckoned from
// above, by what it writes, and only counted when that seems too much.
type budget struct {
	rate *rate.Limiter
	most int // bytes that it may hold

	mu     sync.Mutex
	held   int       // bytes, at most
	leases int       // at most
	counts time.Time // before which nothing is counted: it costs more than to ask for it
}

// countPause is the least time from one count to the next.
const countPause = time.Second

func newBudget() *budget { return &budget{rate: rate.NewLimiter(writeRate, maxHeld), most: maxHeld} }

// spend takes from the budget what a request of user takes, or returns why the user may not make it.
func (b *budget) spend(ctx context.Context, server *etcdserver.EtcdServer, user string, req any) error {
	writes, holds, leases := 0, 0, 0
	var err error
	each(req, func(r any) {
		switch r := r.(type) {
		case *pb.PutRequest:
			n := keyCost + len(r.Key) + len(r.Value)
			if tooLarge := checkSize(r.Value); tooLarge != nil {
				err = status.Error(codes.InvalidArgument, tooLarge.Error())
			} else if r.IgnoreValue { // the value that is there is written again
				n += maxValue
			}
			writes, holds = writes+n, holds+n
		case *pb.DeleteRangeRequest, *pb.LeaseRevokeRequest:
			writes += keyCost
		case *pb.LeaseGrantRequest:
			writes, leases = writes+keyCost, leases+1
		}
	})
	if err != nil || writes == 0 {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.count(ctx, server, user, holds, leases); err != nil {
		return err
	}
	switch {
	case b.held+holds > b.most:
		return errHeld
	case b.leases+leases > maxLeases:
		return errLeases
	case !b.rate.AllowN(time.Now(), writes):
		return errHaste
	}
	b.held, b.leases = b.held+holds, b.leases+leases
	return nil
}

// count finds out what the user has if, as far as is known, it might not have this much more.
func (b *budget) count(ctx context.Context, server *etcdserver.EtcdServer, user string, holds, leases int) error {
	if b.held+holds <= b.most && b.leases+leases <= maxLeases || time.Now().Before(b.counts) {
		return nil
	}
	held, err := heldBy(ctx, server, user)
	if err != nil {
		return err
	}
	b.held, b.leases, b.counts = held, leasesOf(server, user), time.Now().Add(countPause)
	return nil
}

// heldBy returns how many bytes there are in the places that are the user's alone. Of the single keys
// that a host may write others may be the author, and there are no more of them than its graph names.
func heldBy(ctx context.Context, server *etcdserver.EtcdServer, user string) (int, error) {
	role, err := server.AuthStore().RoleGet(&pb.AuthRoleGetRequest{Role: user})
	if err != nil {
		return 0, errDenied
	}
	held := 0
	for _, p := range role.Perm {
		if len(p.RangeEnd) == 0 || p.PermType == authpb.READ {
			continue
		}
		found, err := server.KV().Range(ctx, p.Key, p.RangeEnd, mvcc.RangeOptions{})
		if err != nil {
			return 0, fmt.Errorf("count what %s holds: %w", strings.TrimPrefix(user, hostName), err)
		}
		for _, kv := range found.KVs {
			held += keyCost + len(kv.Key) + len(kv.Value)
		}
	}
	return held, nil
}

func leasesOf(server *etcdserver.EtcdServer, user string) int {
	tx := server.Backend().ReadTx()
	tx.RLock()
	defer tx.RUnlock()
	n := 0
	for _, l := range schema.MustUnsafeGetAllLeases(tx) {
		if ownLease(user, l.ID) {
			n++
		}
	}
	return n
}
