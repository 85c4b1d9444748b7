package fleet

import (
	"context"
	"fmt"

	"spore/etcd"
)

// begin starts do, which the result ends and waits for.
func (f *fleet) begin(ctx context.Context, do func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// open opens the store.
func (f *fleet) open(ctx context.Context) error {
	defer close(f.opened)
	store, err := f.Store(ctx, f.Log)
	if err != nil {
		f.stopping.Store(true) // or it would be reported as the failure of every host
		f.failed = fmt.Errorf("open store: %w", err)
		return f.failed
	}
	if store.Prepare != nil && len(f.members) > few {
		if err := store.Prepare(ctx, f.grants); err != nil {
			f.Log.Debug("hosts are admitted one by one", "err", err) // which tells what is wrong
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store = store
	return nil
}

// few hosts are let in as they come: it makes no difference.
const few = 10

// current returns the store, and a channel that is closed when another takes its place.
func (f *fleet) current() (*Store, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.store, f.adopted
}

// adopt has the fleet use another store, which holds the same.
func (f *fleet) adopt(s *Store) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store = s
	close(f.adopted)
	f.adopted = make(chan struct{})
}

// shared returns the store once it is open.
func (f *fleet) shared(ctx context.Context) (*Store, error) {
	select {
	case <-f.opened:
		store, _ := f.current()
		return store, f.failed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// follow keeps state up to date with the store.
func (f *fleet) follow(ctx context.Context) {
	for ctx.Err() == nil {
		store, adopted := f.current()
		end := f.begin(ctx, func(ctx context.Context) { f.followOne(ctx, store) })
		select {
		case <-ctx.Done():
		case <-adopted:
		}
		end()
	}
}

func (f *fleet) followOne(ctx context.Context, store *Store) {
	err := store.Follow(ctx, func(s etcd.Fleet) {
		f.mu.Lock()
		f.state = s
		f.mu.Unlock()
		for _, m := range f.members {
			m.observe(s.Hosts[m.name])
		}
		f.poke()
	})
	if err != nil && ctx.Err() == nil {
		f.Log.Error("follow store", "err", err)
	}
}

// latest is what the store was last seen to hold.
func (f *fleet) latest() etcd.Fleet {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// untilStoreEnds returns a context that the end of the store ends.
func (f *fleet) untilStoreEnds(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	store, _ := f.current()
	go func() {
		select {
		case <-store.Done:
			cancel(fmt.Errorf("store ended: %w", store.Err()))
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
