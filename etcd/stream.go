package etcd

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// A stream carries all the watches of a client. etcd sends what happened to them in the order of
// its revisions (but a watch that has just begun may lag), which etcd's own client would lose by
// handing each watch to a goroutine; here one goroutine handles all. And one request for progress
// covers them all.
type stream struct {
	client *clientv3.Client
	linked func(bool)  // called when the store comes into reach and when it is lost
	saw    func(int64) // called with the revision of a state before that is handed over
	hold   func()      // for tests, see Options

	processed atomic.Int64
	asked     atomic.Int64  // the revision at which the operator last asked to catch up
	moved     chan struct{} // processed has changed

	// mu is held while callbacks run, so they run one after the other.
	mu       sync.Mutex
	watches  map[*watch]bool
	up       bool             // there is a connection
	byID     map[int64]*watch // on this connection
	creating []*creation      // asked for and not yet answered: etcd answers in order
	lastID   int64
	queue    []*pb.WatchRequest // to be sent
	wake     chan struct{}      // there is something in queue
}

// A creation is one request for a watch. Its watch may have moved on to another before the answer.
type creation struct {
	watch *watch
	id    int64
}

// askAgain is how long to wait for an answer about progress: there is none while one of the
// watches has more to come.
const askAgain = 100 * time.Millisecond

func newStream(client *clientv3.Client, linked func(bool), saw func(int64), hold func()) *stream {
	return &stream{
		client:  client,
		linked:  linked,
		saw:     saw,
		hold:    hold,
		moved:   make(chan struct{}, 1),
		watches: make(map[*watch]bool),
		wake:    make(chan struct{}, 1),
	}
}

// run keeps the stream connected until ctx is done.
func (s *stream) run(ctx context.Context) {
	pause := retryPause
	for ctx.Err() == nil {
		if s.connection(ctx) {
			pause = retryPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, maxReconnect)
	}
}

// connection runs one connection to its end, and says whether there was one at all.
func (s *stream) connection(ctx context.Context) (answered bool) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	conn := pb.NewWatchClient(s.client.ActiveConnection())
	rpc, err := conn.Watch(ctx, grpc.MaxCallRecvMsgSize(math.MaxInt32))
	if err != nil {
		return false
	}
	s.begin()
	var sender sync.WaitGroup
	sender.Go(func() { s.send(ctx, rpc) })
	for {
		resp, err := rpc.Recv()
		if err != nil {
			break
		}
		if !answered {
			answered = true
			s.linked(true)
		}
		if s.hold != nil {
			s.hold()
		}
		s.handle(resp)
	}
	cancel()
	sender.Wait()
	s.end()
	if answered {
		s.linked(false)
	}
	return answered
}

// begin takes up every watch where it stood.
func (s *stream) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up, s.byID = true, make(map[int64]*watch)
	for w := range s.watches {
		if w.state == following {
			s.create(w, w.done)
		}
	}
	s.catchUp()
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up, s.byID, s.creating, s.queue = false, nil, nil, nil
}

// send sends what is queued, and asks again for progress while some is owed. It is not done where
// the requests are made, for these wait under mu, and etcd may be waiting for the receiver.
func (s *stream) send(ctx context.Context, rpc pb.Watch_WatchClient) {
	for {
		s.mu.Lock()
		requests := s.queue
		s.queue = nil
		behind := s.behind()
		s.mu.Unlock()
		for _, r := range requests {
			if rpc.Send(r) != nil {
				return // Recv tells
			}
		}
		var again <-chan time.Time
		if behind {
			again = time.After(askAgain)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-again:
			s.mu.Lock()
			s.catchUp()
			s.mu.Unlock()
		}
	}
}

// enqueue has r sent.
func (s *stream) enqueue(r *pb.WatchRequest) {
	s.queue = append(s.queue, r)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// create asks for w from revision start on.
func (s *stream) create(w *watch, start int64) {
	if !s.up {
		return
	}
	delete(s.byID, w.id)
	s.lastID++
	w.id, w.start, w.created = s.lastID, start, false
	s.byID[w.id] = w
	s.creating = append(s.creating, &creation{w, w.id})
	s.enqueue(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
		CreateRequest: &pb.WatchCreateRequest{
			WatchId: w.id, Key: []byte(w.span.key), RangeEnd: []byte(w.span.end()),
			StartRevision: start, Fragment: true,
		},
	}})
}

// cancel gives w up on this connection.
func (s *stream) cancel(w *watch) {
	if s.byID[w.id] != w {
		return
	}
	delete(s.byID, w.id)
	s.enqueue(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{
		CancelRequest: &pb.WatchCancelRequest{WatchId: w.id},
	}})
}

// behind says whether the operator asked for more than has been processed.
func (s *stream) behind() bool { return s.lowest() < s.asked.Load() }

// catchUp asks how far the watches have come, if that is owed.
func (s *stream) catchUp() {
	if !s.up || !s.behind() {
		return
	}
	for w := range s.watches {
		// etcd does not answer while one watch begins at a revision that is yet to come.
		if w.state == following && w.start > w.done && w.start > s.asked.Load() {
			s.cancel(w)
			s.create(w, w.done)
		}
	}
	s.enqueue(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{
		ProgressRequest: &pb.WatchProgressRequest{},
	}})
}

// lowest returns how far the last of the watches has come.
func (s *stream) lowest() int64 {
	if len(s.watches) == 0 {
		return 0
	}
	lowest := int64(math.MaxInt64)
	for w := range s.watches {
		lowest = min(lowest, w.done)
	}
	return lowest
}

// advance publishes how far the watches have come, after callbacks have returned.
func (s *stream) advance() {
	if p := s.lowest(); s.processed.Swap(p) != p {
		select {
		case s.moved <- struct{}{}:
		default:
		}
	}
}
