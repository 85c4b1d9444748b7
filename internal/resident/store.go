package resident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"spore/etcd"
	"spore/internal/steward"
)

// StoreOptions are those of a member of the store.
type StoreOptions struct {
	Log *slog.Logger
	Now func() time.Time // time.Now if nil
}

// errResigned ends the tasks of a member that is to be no more.
var errResigned = errors.New("this host is not to serve the store")

// RunStore serves the store as the member that the host is, until ctx is done, or until it is none
// any more: then what it held is removed, and that is no error.
func RunStore(ctx context.Context, l Layout, o StoreOptions) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &hostStore{StoreOptions: o, layout: l}
	err := readJSON(l.membership(), &s.member)
	if errors.Is(err, fs.ErrNotExist) {
		o.Log.Info("this host serves no store")
		return nil
	}
	if err == nil {
		err = s.run(ctx)
	}
	switch {
	case errors.Is(err, etcd.ErrRemoved):
		o.Log.Info("the members of the store have removed this one; what it held is removed")
		err = s.takeAway(s.id())
	case errors.Is(err, errResigned):
		o.Log.Info("nobody has committed to this store in time; it is removed")
		err = s.takeAway(0)
	}
	if err != nil {
		return fmt.Errorf("run store: %w", err)
	}
	return nil
}

// A hostStore is the member of the store that a host is.
type hostStore struct {
	StoreOptions
	layout    Layout
	member    Membership
	authority *etcd.Authority
	serving   *etcd.Serving
	store     *etcd.Store // by this very member
}

func (s *hostStore) run(ctx context.Context) (err error) {
	ca, err := os.ReadFile(s.layout.ca())
	if err != nil {
		return err
	}
	key, err := os.ReadFile(s.layout.caKey())
	if err != nil {
		return err
	}
	if s.authority, err = etcd.LoadAuthority(ca, key); err != nil {
		return err
	}
	m := s.member
	s.serving, err = etcd.StartMember(ctx, etcd.MemberOptions{
		Dir: s.layout.Store(), Name: m.Host, Peer: m.Peer, Initial: m.Initial, Existing: m.Existing,
		Cluster: m.Cluster, Authority: s.authority, Log: s.Log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.serving.Close()) }()
	admin, err := s.authority.Admin()
	if err != nil {
		return err
	}
	s.store, err = etcd.Open(ctx, etcd.Options{Endpoints: []string{s.serving.Endpoint()}, Credentials: admin, Log: s.Log})
	if err != nil {
		return err
	}
	defer s.store.Close()
	return s.work(ctx)
}

// work serves until ctx is done, which is no error.
func (s *hostStore) work(ctx context.Context) error {
	done := ctx
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-s.serving.Done():
			return s.serving.Err()
		}
	})
	tasks.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-s.serving.Ready():
		}
		if err := s.awaitCommit(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		return s.serve(ctx)
	})
	if err := tasks.Wait(); done.Err() == nil {
		return err
	}
	return nil
}

// serve does what members do beside serving.
func (s *hostStore) serve(ctx context.Context) error {
	tasks, ctx := errgroup.WithContext(ctx)
	for _, task := range []func(context.Context){s.steward, s.renew, s.newUpkeep().run} {
		tasks.Go(func() error { task(ctx); return nil })
	}
	return tasks.Wait()
}

// steward looks after the members of the store, if no other member does.
func (s *hostStore) steward(ctx context.Context) {
	for ctx.Err() == nil {
		err := steward.Run(ctx, steward.Options{
			Store: s.store, Authority: s.authority, Host: s.member.Host, Log: s.Log, Now: s.Now,
		})
		if err != nil && ctx.Err() == nil {
			s.Log.Error("cannot look after the store, will try again", "err", err)
			pause(ctx, redo)
		}
	}
}

// renewal is how often a member issues its certificates anew: they last for years.
const renewal = 24 * time.Hour

func (s *hostStore) renew(ctx context.Context) {
	for pause(ctx, renewal); ctx.Err() == nil; pause(ctx, renewal) {
		if err := s.serving.Renew(); err != nil {
			s.Log.Error("cannot renew the certificates of this member, will try again in a day", "err", err)
		}
	}
}

// id is that of the member, or 0 if it has never run.
func (s *hostStore) id() uint64 {
	if s.serving == nil {
		return s.member.Member
	}
	return s.serving.ID()
}

// takeAway removes what the member held. It begins with what makes the host one: nothing starts it
// again. What stays is the ID of the member that was removed, if there is one, so that an order for
// that one is not obeyed again.
func (s *hostStore) takeAway(removed uint64) error {
	dir := s.layout.Store()
	if removed != 0 {
		if err := writeJSON(s.layout.removed(), removed); err != nil {
			return err
		}
	}
	if err := os.Remove(s.layout.membership()); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); path != s.layout.removed() {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	if removed == 0 {
		_ = os.Remove(dir) // the host may not let a service do that
	}
	return err
}
