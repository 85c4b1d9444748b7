package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Members returns those who serve the store, as a majority of them knows it.
func (s *Store) Members(ctx context.Context) ([]Member, error) {
	list, err := s.memberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	members := make([]Member, len(list))
	for i, m := range list {
		members[i] = Member{ID: m.ID, Host: memberHost(m.Name), Learner: m.IsLearner}
		if len(m.PeerURLs) > 0 {
			if u, err := url.Parse(m.PeerURLs[0]); err == nil {
				members[i].Peer = u.Host
			}
		}
		if len(m.ClientURLs) > 0 {
			members[i].Client = m.ClientURLs[0]
		}
	}
	return members, nil
}

func (s *Store) memberList(ctx context.Context) ([]*etcdserverpb.Member, error) {
	resp, err := call(ctx, func(ctx context.Context) (*clientv3.MemberListResponse, error) {
		return s.etcd.MemberList(ctx)
	})
	if err != nil {
		return nil, err
	}
	return resp.Members, nil
}

// AddLearner has the members send a new one, to be reached at peerURL, all there is, and returns its
// ID. It has no vote yet. If it is a learner already, nothing changes.
func (s *Store) AddLearner(ctx context.Context, peerURL string) (id uint64, err error) {
	id, err = s.addLearner(ctx, peerURL)
	if err != nil {
		return 0, fmt.Errorf("add member at %s: %w", peerURL, err)
	}
	return id, nil
}

func (s *Store) addLearner(ctx context.Context, peerURL string) (uint64, error) {
	added, err := call(ctx, func(ctx context.Context) (*clientv3.MemberAddResponse, error) {
		return s.etcd.MemberAddAsLearner(ctx, []string{peerURL})
	})
	if err == nil {
		return added.Member.ID, nil
	}
	if !errors.Is(err, rpctypes.ErrPeerURLExist) && !errors.Is(err, rpctypes.ErrMemberExist) {
		return 0, err
	}
	list, listErr := s.memberList(ctx)
	if listErr != nil {
		return 0, listErr
	}
	for _, m := range list {
		if m.IsLearner && slices.Contains(m.PeerURLs, peerURL) {
			return m.ID, nil
		}
	}
	return 0, err
}

// Promote gives a learner a vote. It fails while the learner has not yet received enough. The Store
// must be able to reach the members at their own addresses: only the leader can do it, and etcd's
// members ask each other in a way that knows no certificates.
func (s *Store) Promote(ctx context.Context, id uint64) error {
	leader, err := s.leader(ctx)
	if err == nil {
		defer leader.Close()
		_, err = call(ctx, func(ctx context.Context) (*clientv3.MemberPromoteResponse, error) {
			return leader.MemberPromote(ctx, id)
		})
	}
	if err != nil && !errors.Is(err, rpctypes.ErrMemberNotLearner) {
		return fmt.Errorf("promote member %x: %w", id, err)
	}
	return nil
}

// Remove takes a member away, which then ends with ErrRemoved. It should not be the one that leads.
func (s *Store) Remove(ctx context.Context, id uint64) error {
	_, err := call(ctx, func(ctx context.Context) (*clientv3.MemberRemoveResponse, error) {
		return s.etcd.MemberRemove(ctx, id)
	})
	if err != nil && !errors.Is(err, rpctypes.ErrMemberNotFound) {
		return fmt.Errorf("remove member %x: %w", id, err)
	}
	return nil
}

// MoveLeader has the member with this ID lead the store. The Store must be able to reach the
// members at their own addresses.
func (s *Store) MoveLeader(ctx context.Context, to uint64) error {
	if err := s.moveLeader(ctx, to); err != nil {
		return fmt.Errorf("have member %x lead: %w", to, err)
	}
	return nil
}

func (s *Store) moveLeader(ctx context.Context, to uint64) error {
	status, err := s.Status(ctx, s.etcd.Endpoints()[0])
	if err != nil || status.Leader == to {
		return err
	}
	leader, err := s.leader(ctx)
	if err != nil {
		return err
	}
	defer leader.Close()
	_, err = call(ctx, func(ctx context.Context) (*clientv3.MoveLeaderResponse, error) {
		return leader.MoveLeader(ctx, to)
	})
	return err
}

// leader returns a client of the member that leads, and of no other.
func (s *Store) leader(ctx context.Context) (*clientv3.Client, error) {
	status, err := s.Status(ctx, s.etcd.Endpoints()[0])
	if err != nil {
		return nil, err
	}
	list, err := s.memberList(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(m *etcdserverpb.Member) bool { return m.ID == status.Leader })
	switch {
	case i < 0:
		return nil, errors.New("nobody leads now")
	case status.ID == status.Leader, len(list[i].ClientURLs) == 0: // it is who was asked
		return s.options.connect()
	}
	o := s.options
	o.Endpoints = list[i].ClientURLs
	return o.connect()
}
