package steward

import (
	"context"

	"spore/etcd"
)

// A Store is what the steward needs of etcd.Store.
type Store interface {
	// Lock waits for the lock of stewards. The context ends when the lock is lost.
	Lock(ctx context.Context) (held context.Context, release func(), err error)
	Follow(ctx context.Context, f func(etcd.Fleet)) error

	Cluster(ctx context.Context) (etcd.Cluster, bool, error)
	Leaving(ctx context.Context) ([]string, error)
	Orders(ctx context.Context) (map[string]etcd.Order, error)
	PutOrder(ctx context.Context, host string, o etcd.Order) error
	DropOrder(ctx context.Context, host string) error
	Endpoints(ctx context.Context) ([]string, error)
	PutEndpoints(ctx context.Context, urls []string) error
	Requests(ctx context.Context) (map[string][]byte, error)
	PutCertificate(ctx context.Context, host string, cert []byte) error

	Members(ctx context.Context) ([]etcd.Member, error)
	// Status asks the member at endpoint itself, and waits for a few seconds at most.
	Status(ctx context.Context, endpoint string) (etcd.MemberStatus, error)
	AddLearner(ctx context.Context, peerURL string) (uint64, error)
	Promote(ctx context.Context, id uint64) error
	Remove(ctx context.Context, id uint64) error
	MoveLeader(ctx context.Context, to uint64) error
	Disarm(ctx context.Context) error
}

// An Authority is what the steward needs of etcd.Authority.
type Authority interface {
	Key() ([]byte, error)
	Sign(host string, request []byte) (cert []byte, err error)
	// Alive asks a member whether it runs, which it does before it serves clients.
	Alive(ctx context.Context, peer string) error
}
