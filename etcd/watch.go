package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A change is what a watch hands over: one event or several, or the state as a whole.
type change struct {
	whole  bool // events are all that there is, and everything else is gone
	events []*mvccpb.Event
}

// A watch follows one span of keys. Its fields belong to the stream's mu.
type watch struct {
	span  span
	f     func(change)
	state watchState
	done  int64         // every event up to this revision has been handed to f
	lost  chan struct{} // etcd gave the watch up: read the state as a whole again

	// On the present connection:
	id      int64
	start   int64 // the revision it was asked to begin at
	created bool  // etcd has answered
}

// maxRefusals is how often a watch tries again when it is denied: a member of the store may not yet
// know of a right just granted.
const maxRefusals = 5

type watchState int

const (
	reading   watchState = iota // the state as a whole is awaited
	following                   // events are
)

// follow hands f the state of sp and then each change of it, until ctx is done (then it returns
// nil) or the store refuses.
func (s *stream) follow(ctx context.Context, sp span, f func(change)) error {
	w := &watch{span: sp, f: f, lost: make(chan struct{}, 1)}
	s.mu.Lock()
	s.watches[w] = true
	s.advance()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cancel(w)
		delete(s.watches, w)
		s.advance()
	}()
	for {
		if err := s.read(ctx, w); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.lost:
		}
	}
}

// read hands w the state as a whole and has it followed from there.
func (s *stream) read(ctx context.Context, w *watch) error {
	options := []clientv3.OpOption{}
	if w.span.prefix {
		options = append(options, clientv3.WithPrefix())
	}
	for refused := 0; ; {
		state, err := call(ctx, func(ctx context.Context) (*clientv3.GetResponse, error) {
			return s.client.Get(ctx, w.span.key, options...)
		})
		switch {
		case err == nil:
			s.deliverWhole(ctx, w, state)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case passes(err): // the store is out of reach
		case errors.Is(err, rpctypes.ErrPermissionDenied) && refused < maxRefusals:
			refused++
		default:
			return fmt.Errorf("follow %s: %w", w.span.key, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryPause):
		}
	}
}

func (s *stream) deliverWhole(ctx context.Context, w *watch, state *clientv3.GetResponse) {
	events := make([]*mvccpb.Event, len(state.Kvs))
	for i, kv := range state.Kvs {
		events[i] = &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: kv}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	s.saw(state.Header.Revision)
	w.f(change{whole: true, events: events})
	w.state, w.done = following, state.Header.Revision
	s.create(w, w.done+1)
	s.advance()
}

// handle deals with one answer of etcd.
func (s *stream) handle(resp *etcdserverpb.WatchResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch w := s.byID[resp.WatchId]; {
	case resp.Created:
		s.handleCreated(resp)
	case resp.WatchId == clientv3.InvalidWatchID: // progress of all
		for _, w := range s.byID {
			if w.created {
				w.done = max(w.done, resp.Header.Revision)
			}
		}
	case w == nil: // of a watch that was given up
	case resp.Canceled:
		s.lose(w)
	default:
		s.deliver(w, resp)
	}
	s.advance()
}

// handleCreated notes the answer to the oldest request for a watch. A refusal does not say which.
func (s *stream) handleCreated(resp *etcdserverpb.WatchResponse) {
	if len(s.creating) == 0 {
		return
	}
	c := s.creating[0]
	s.creating = s.creating[1:]
	if s.byID[c.id] != c.watch {
		return
	}
	if resp.Canceled {
		s.lose(c.watch)
		return
	}
	c.watch.created = true
}

// lose has the state of w read as a whole again. A watch that etcd gave up is cancelled all the
// same, or etcd would wait for it with every answer about progress.
func (s *stream) lose(w *watch) {
	s.cancel(w)
	w.state = reading
	select {
	case w.lost <- struct{}{}:
	default:
	}
}

func (s *stream) deliver(w *watch, resp *etcdserverpb.WatchResponse) {
	// A watch may begin at what it has had already.
	events := resp.Events
	for len(events) > 0 && events[0].Kv.ModRevision <= w.done {
		events = events[1:]
	}
	if len(events) == 0 {
		return
	}
	w.f(change{events: events})
	if !resp.Fragment { // else the rest of a revision may be yet to come
		w.done = events[len(events)-1].Kv.ModRevision
	}
}
