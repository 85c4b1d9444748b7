package steward

import (
	"context"
	"errors"
	"fmt"

	"spore/etcd"
	"spore/internal/secret"
)

// An action is one thing that the steward does. It may be done again if it is not known whether it
// was done.
type action interface {
	do(ctx context.Context, s Store, a Authority) error
	String() string
}

// What changes the members.
type (
	// addLearner adds a host and gives it its order, in which the member's ID is yet to be filled in.
	addLearner struct {
		host      string
		order     etcd.Order
		recipient string
	}
	promote struct{ seat seat }
	remove  struct {
		seat  seat
		why   string
		blame blame
	}
	moveLeader struct{ to seat }
)

// What is written about the members.
type (
	putOrder struct {
		host      string
		order     etcd.Order
		recipient string
	}
	dropOrder    struct{ host string }
	putEndpoints struct{ urls []string }
	disarm       struct{}
)

// A blame is what the removal of a member tells of its host.
type blame int

const (
	blameless blame = iota
	suspect         // others are asked before it
	guilty          // it is not asked again for a while
)

// errSeal says that nothing can be encrypted for a host.
var errSeal = errors.New("encrypt the authority's key")

func (a addLearner) do(ctx context.Context, s Store, ca Authority) error {
	key, err := seal(ca, a.recipient) // first, so that nothing has changed if it fails
	if err != nil {
		return err
	}
	if a.order.Member, err = s.AddLearner(ctx, peerURL(a.order.Peer)); err != nil {
		return err
	}
	a.order.Authority = key
	return s.PutOrder(ctx, a.host, a.order)
}

func (a promote) do(ctx context.Context, s Store, _ Authority) error {
	return s.Promote(ctx, a.seat.ID)
}

func (a remove) do(ctx context.Context, s Store, _ Authority) error { return s.Remove(ctx, a.seat.ID) }

func (a moveLeader) do(ctx context.Context, s Store, _ Authority) error {
	return s.MoveLeader(ctx, a.to.ID)
}

func (a putOrder) do(ctx context.Context, s Store, ca Authority) (err error) {
	if a.order.Authority, err = seal(ca, a.recipient); err != nil {
		return err
	}
	return s.PutOrder(ctx, a.host, a.order)
}

func (a dropOrder) do(ctx context.Context, s Store, _ Authority) error {
	return s.DropOrder(ctx, a.host)
}

func (a putEndpoints) do(ctx context.Context, s Store, _ Authority) error {
	return s.PutEndpoints(ctx, a.urls)
}

func (disarm) do(ctx context.Context, s Store, _ Authority) error { return s.Disarm(ctx) }

func (a addLearner) String() string {
	return fmt.Sprintf("add learner %s at %s", a.host, a.order.Peer)
}
func (a promote) String() string    { return "promote " + a.seat.Host }
func (a remove) String() string     { return fmt.Sprintf("remove %s: %s", a.seat.name(), a.why) }
func (a moveLeader) String() string { return "move lead to " + a.to.Host }
func (a putOrder) String() string {
	return fmt.Sprintf("put order of %s as %x", a.host, a.order.Member)
}
func (a dropOrder) String() string    { return "drop order of " + a.host }
func (a putEndpoints) String() string { return fmt.Sprintf("put endpoints %v", a.urls) }
func (disarm) String() string         { return "allow writes again" }

// seal returns the authority's key, encrypted for recipient.
func seal(ca Authority, recipient string) ([]byte, error) {
	key, err := ca.Key()
	if err != nil {
		return nil, err
	}
	sealed, err := secret.Encrypt(recipient, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSeal, err)
	}
	return sealed, nil
}

// name is how people are told of a member.
func (s seat) name() string {
	if s.Host != "" {
		return s.Host
	}
	return fmt.Sprintf("the member at %s", s.Peer)
}

// peerURL is the URL of a peer that is host:port; what is not has none, which the store refuses.
func peerURL(peer string) string {
	url, _, err := etcd.URLs(peer)
	if err != nil {
		return ""
	}
	return url
}
