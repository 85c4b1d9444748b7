package etcd

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type fakeStream struct {
	grpc.ServerStream
	ctx  context.Context
	sent int
}

func (s *fakeStream) Context() context.Context { return s.ctx }
func (s *fakeStream) RecvMsg(any) error        { return nil }
func (s *fakeStream) SendMsg(any) error        { s.sent++; return nil }

// An etcd waits for seconds for the streams of its clients when it ends, unless they end first.
func TestStreamsEndWithTheGate(t *testing.T) {
	g := newGate()
	client := &fakeStream{ctx: t.Context()}
	err := g.stream(nil, client, nil, func(_ any, stream grpc.ServerStream) error {
		if err := errors.Join(stream.Context().Err(), stream.SendMsg(nil), stream.RecvMsg(nil)); err != nil {
			t.Errorf("through an open gate: %v", err)
		}
		g.lock()
		select {
		case <-stream.Context().Done():
		case <-time.After(patience):
			t.Error("the stream goes on")
		}
		if stream.SendMsg(nil) == nil || stream.RecvMsg(nil) == nil {
			t.Error("a message passed")
		}
		return stream.Context().Err()
	})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the client is told %v", err)
	}
	if client.sent != 1 {
		t.Errorf("%d messages were sent", client.sent)
	}
	err = g.stream(nil, client, nil, func(any, grpc.ServerStream) error { t.Error("a stream began"); return nil })
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a new stream is told %v", err)
	}
}

func TestTheGateWaitsForCallsUnderWay(t *testing.T) {
	g := newGate()
	pass := func() error {
		_, err := g.call(t.Context(), nil, nil, func(context.Context, any) (any, error) { return nil, nil })
		return err
	}
	begun, finish := make(chan struct{}), make(chan struct{})
	answered := make(chan error)
	go func() {
		_, err := g.call(t.Context(), nil, nil, func(context.Context, any) (any, error) {
			close(begun)
			<-finish
			return nil, nil
		})
		answered <- err
	}()
	<-begun
	idle, lower, err := g.raise()
	if err != nil {
		t.Fatal(err)
	}
	if err := pass(); status.Code(err) != codes.Unavailable {
		t.Errorf("a call at a shut gate: got %v", err)
	}
	select {
	case <-idle:
		t.Error("idle while a call is under way")
	default:
	}
	if _, _, err := g.raise(); err == nil {
		t.Error("it was shut twice")
	}
	close(finish)
	if err := <-answered; err != nil {
		t.Errorf("the call under way: %v", err)
	}
	select {
	case <-idle:
	case <-time.After(patience):
		t.Error("not idle though no call is under way")
	}
	lower()
	lower()
	if err := pass(); err != nil {
		t.Errorf("the gate is open again: got %v", err)
	}
	idle, lower, err = g.raise()
	if err != nil {
		t.Fatal(err)
	}
	<-idle
	g.lock()
	lower()
	if err := pass(); status.Code(err) != codes.Unavailable {
		t.Errorf("a gate shut for good has been opened: %v", err)
	}
}
