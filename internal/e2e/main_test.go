package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"spore/internal/lab"
	"spore/internal/lab/labtest"
)

// patience is how long a test waits for anything at all: it bounds what hangs, on a machine that
// may be busy, and measures nothing.
const patience = 3 * time.Minute

// theGround is what the tests share: they start in parallel and take the hosts they need.
var theGround ground

func TestMain(m *testing.M) {
	code := m.Run()
	if err := theGround.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A ground is the binary, and a lab whose hosts are handed out to one test at a time. They cannot
// reach each other: all that the tests show is shown over SSH alone.
type ground struct {
	once   sync.Once
	err    error
	dir    string
	binary string
	lab    *lab.Lab

	mu    sync.Mutex
	free  []*lab.Host
	freed chan struct{} // closed and replaced when hosts come back
}

// hosts is how many a ground has: for two tests that take two each.
const hosts = 4

// enter returns the ground, made when it is first asked for.
func enter(t *testing.T) *ground {
	t.Helper()
	labtest.Need(t)
	g := &theGround
	g.once.Do(func() { g.err = g.open() })
	if g.err != nil {
		t.Fatal(g.err)
	}
	return g
}

func (g *ground) open() (err error) {
	if g.dir, err = os.MkdirTemp("", "spore-e2e-"); err != nil {
		return err
	}
	g.binary = filepath.Join(g.dir, "spore")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", g.binary, "spore/cmd/spore")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if raced {
		build = exec.Command("go", "build", "-race", "-o", g.binary, "spore/cmd/spore")
		build.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	g.freed = make(chan struct{})
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	if g.lab, err = lab.Up(context.Background(), hosts, lab.Options{Isolated: true, Log: quiet}); err != nil {
		return err
	}
	g.free = append(g.free, g.lab.Hosts...)
	return nil
}

func (g *ground) close() error {
	var err error
	if g.lab != nil {
		err = g.lab.Close()
	}
	if g.dir != "" {
		err = errors.Join(err, os.RemoveAll(g.dir))
	}
	return err
}

// take waits for n hosts that no other test has.
func (g *ground) take(n int) []*lab.Host {
	for {
		g.mu.Lock()
		if len(g.free) >= n {
			taken := g.free[:n:n]
			g.free = g.free[n:]
			g.mu.Unlock()
			return taken
		}
		freed := g.freed
		g.mu.Unlock()
		<-freed
	}
}

func (g *ground) give(back []*lab.Host) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free = append(g.free, back...)
	close(g.freed)
	g.freed = make(chan struct{})
}
