package etcd

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Self is Status of the member that s leads to, asked over the connection that there is: Status makes
// one of its own each time.
func (s *Store) Self(ctx context.Context) (MemberStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	over := clientv3.RetryMaintenanceClient(s.etcd, s.etcd.ActiveConnection())
	r, err := clientv3.NewMaintenanceFromMaintenanceClient(over, s.etcd).Status(ctx, "")
	if err != nil {
		return MemberStatus{}, fmt.Errorf("ask the member for its status: %w", err)
	}
	return memberStatus(r), nil
}

func memberStatus(r *clientv3.StatusResponse) MemberStatus {
	return MemberStatus{
		ID: r.Header.MemberId, Leader: r.Leader, Version: r.Version,
		Size: r.DbSize, InUse: r.DbSizeInUse,
		Learner: r.IsLearner, Revision: r.Header.Revision, Errors: r.Errors,
	}
}
