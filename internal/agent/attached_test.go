package agent

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"spore/engine"
	"spore/internal/view"
)

// An agent that takes the place of another may have been handed a graph that is not the latest. It is
// patient: the store need not answer at the first attempt.
func TestServeBeginsWithTheStoresGraph(t *testing.T) {
	d, base := newDepot(t), shortDir(t)
	d.endpoint = "unix://" + d.listen(t, base, 2)
	old, latest := filepath.Join(base, "old"), filepath.Join(base, "latest")
	d.put(t, fileGraph(latest, "two"))
	serve(t, d, base, "1", fileGraph(old, "one"), time.Minute)
	if r := d.converged(t); r.Counts.OK != 1 {
		t.Errorf("converged with %+v", r.Counts)
	}
	if text, _ := os.ReadFile(latest); string(text) != "two" {
		t.Errorf("the latest graph was not applied: %q", text)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a graph older than the store's was applied (%v)", err)
	}
}

// What the store has may be of no use.
func TestServeBeginsWithItsFileForWantOfAnother(t *testing.T) {
	d, base := newDepot(t), shortDir(t)
	path := filepath.Join(base, "out")
	d.put(t, "nonsense")
	s := serve(t, d, base, "1", fileGraph(path, "one"), time.Minute)
	s.applied(t, path, "one")
}

func TestServeBeginsWithoutTheStore(t *testing.T) {
	t.Parallel() // it waits
	d, base := newDepot(t), shortDir(t)
	d.endpoint = "unix://" + filepath.Join(base, socketName)
	path := filepath.Join(base, "out")
	d.put(t, fileGraph(path, "two"))
	s := serve(t, d, base, "1", fileGraph(path, "one"), time.Minute)
	s.applied(t, path, "one")
	d.listen(t, base, 0)
	s.applied(t, path, "two")
	d.converged(t)
}

// applied waits until the agent has given a file its content.
func (s *service) applied(t *testing.T, path, content string) {
	t.Helper()
	for {
		r := wait(t, s.records, path+" to hold "+content)
		if r.Type != view.Resource || r.Event.State != engine.OK {
			continue
		}
		if text, _ := os.ReadFile(path); string(text) == content {
			return
		}
	}
}

const socketName = "s"

// listen makes the store reachable by a socket in dir, which closes the first so many connections.
func (d *depot) listen(t *testing.T, dir string, refused int) (socket string) {
	t.Helper()
	socket = filepath.Join(dir, socketName)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			in, err := l.Accept()
			if err != nil {
				return
			}
			if n < refused {
				in.Close()
				continue
			}
			go d.carry(t.Context(), in)
		}
	}()
	return socket
}

// carry takes a connection to the store, until either side ends it.
func (d *depot) carry(ctx context.Context, in net.Conn) {
	defer in.Close()
	out, err := d.server.Dial(ctx)
	if err != nil {
		return
	}
	defer out.Close()
	ended := make(chan struct{}, 2)
	for _, c := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() {
			_, _ = io.Copy(c[0], c[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}
