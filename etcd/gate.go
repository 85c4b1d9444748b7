package etcd

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A gate lets the calls of clients through to an etcd while it is open. Whom it sends away tries
// again, here or at another member.
type gate struct {
	mu     sync.Mutex
	opened context.Context // ends when the gate is shut
	shut   context.CancelFunc
	locked bool // it is shut for good
	calls  int
	idle   chan struct{} // closed once the gate is shut and no call is under way
}

// errShut has the code that clients take for one that passes by itself: the clients of leases and
// watches would give up on any other.
var errShut = status.Error(codes.Unavailable, "the store takes no calls for the moment")

func newGate() *gate {
	g := new(gate)
	g.open()
	return g
}

func (g *gate) open() {
	g.opened, g.shut = context.WithCancel(context.Background())
	g.idle = make(chan struct{})
}

// raise shuts the gate until lower is called. Streams end. It fails if the gate is shut.
func (g *gate) raise() (idle <-chan struct{}, lower func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened.Err() != nil {
		return nil, nil, errors.New("the store is closed to its clients already")
	}
	g.shut()
	if g.calls == 0 {
		close(g.idle)
	}
	return g.idle, sync.OnceFunc(g.lower), nil
}

func (g *gate) lower() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.locked {
		g.open()
	}
}

// lock shuts the gate for good.
func (g *gate) lock() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.locked = true
	g.shut()
}

// enter begins a call, unless the gate is shut.
func (g *gate) enter() (leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened.Err() != nil {
		return nil, false
	}
	g.calls++
	return g.leave, true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls--
	if g.calls == 0 && g.opened.Err() != nil {
		close(g.idle)
	}
}

// call lets calls through that have one answer.
func (g *gate) call(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	leave, ok := g.enter()
	if !ok {
		return nil, errShut
	}
	defer leave()
	return handler(ctx, req)
}

// stream lets streams through, and ends them when the gate is shut: etcd, left to itself, waits for
// its clients to end theirs for seconds before it ends.
func (g *gate) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened.Err() != nil {
		return errShut
	}
	both, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(opened, cancel)()
	err := handler(srv, &gatedStream{stream, both, opened})
	if opened.Err() != nil {
		return errShut
	}
	return err
}

// A gatedStream ends with the gate. Nothing is sent from then on, even while its handler, which
// waits for a client that does not read, has not noticed.
type gatedStream struct {
	grpc.ServerStream
	ctx    context.Context
	opened context.Context
}

func (s *gatedStream) Context() context.Context { return s.ctx }

func (s *gatedStream) SendMsg(m any) error {
	if s.opened.Err() != nil {
		return errShut
	}
	return s.ServerStream.SendMsg(m)
}

func (s *gatedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if s.opened.Err() != nil {
		return errShut
	}
	return nil
}
