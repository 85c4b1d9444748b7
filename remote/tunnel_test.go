package remote

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/yamux"

	"spore/remote/dial"
)

// pair returns both ends of a TCP connection.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	a, err = net.Dial("tcp", l.Addr().String())
	must(t, err)
	b, err = l.Accept()
	must(t, err)
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

func TestPipeKeepsTheOtherDirectionOpen(t *testing.T) {
	leakCheck(t)
	client, near := pair(t)
	far, server := pair(t)
	var sent atomic.Int64
	done := make(chan struct{})
	go func() {
		pipe(t.Context(), near, far, &sent)
		close(done)
	}()
	fmt.Fprint(client, "question")
	must(t, closeWrite(client))
	if got, err := io.ReadAll(server); string(got) != "question" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	fmt.Fprint(server, "answer")
	must(t, server.Close())
	if got, err := io.ReadAll(client); string(got) != "answer" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	<-done
	if sent.Load() != int64(len("question")) {
		t.Errorf("%d bytes were counted", sent.Load())
	}
}

func TestPipeEndsWithItsContext(t *testing.T) {
	leakCheck(t)
	_, near := pair(t)
	far, server := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		pipe(ctx, near, far, nil)
		close(done)
	}()
	cancel()
	<-done
	if _, err := server.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
}

func TestBridge(t *testing.T) {
	leakCheck(t)
	here, there := pair(t)
	socket := filepath.Join(t.TempDir(), "store.sock")
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- ServeBridge(ctx, socket, there) }()
	readHello(t, here)
	mux, err := yamux.Server(here, muxConfig())
	must(t, err)
	l := store(t)
	s := New(dial.Target{}, nil, Options{Dial: func(context.Context) (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }})
	carried := make(chan struct{})
	go func() {
		s.carry(&bridge{mux: mux, close: func() {}})
		close(carried)
	}()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got := ask("unix://" + socket); got != "got from the host" {
				t.Errorf("the store says %q", got)
			}
		})
	}
	wg.Wait()
	cancel()
	must(t, <-served)
	<-carried
	if got := ask("unix://" + socket); !strings.Contains(got, "no such file") {
		t.Errorf("the socket is still there: %s", got)
	}
}

// readHello reads byte by byte, so as to take nothing of what follows.
func readHello(t *testing.T, r io.Reader) {
	t.Helper()
	var got strings.Builder
	for b := make([]byte, 1); !strings.HasSuffix(got.String(), bridgeHello+"\n"); got.Write(b) {
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatal(err)
		}
	}
}
