package resident

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"spore/internal/agent"
)

// revokePatience is how long an agent may take to take back what its host exports.
const revokePatience = 15 * time.Second

// Discard takes away what Install and a founding left that came to nothing: a store that nobody has
// committed to, and an installation that was never started. It refuses a store that was committed to,
// and leaves an installation alone that was started.
func Discard(ctx context.Context, l Layout) error {
	err := privileged()
	if err == nil {
		err = discard(ctx, l, l.Services())
	}
	if err != nil {
		return fmt.Errorf("discard: %w", err)
	}
	return nil
}

func discard(ctx context.Context, l Layout, services Services) error {
	return l.change(ctx, func() error {
		state, err := l.storeState()
		if err != nil {
			return err
		}
		if _, err := os.Stat(l.started()); err == nil {
			if state == StorePending {
				return takeStore(ctx, l, services)
			}
			return nil
		}
		if state == StoreMember {
			return errors.New("the store of this host has been committed to: the fleet lives on it")
		}
		return takeAll(ctx, l, services)
	})
}

// Remove ends all that resides on the host, in good order: what the host exported is taken back.
// Nothing is left but the cache of binaries, and with cache not even that. It takes away what is there
// of a half installation, too.
func Remove(ctx context.Context, l Layout, cache bool) error {
	err := privileged()
	if err == nil {
		err = remove(ctx, l, l.Services())
	}
	if err == nil && cache {
		err = removeCache(l)
	}
	if err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}

func remove(ctx context.Context, l Layout, services Services) error {
	return l.change(ctx, func() error { return takeAll(ctx, l, services) })
}

// removeCache takes away the binaries that sessions have left, and what they have them lie in.
func removeCache(l Layout) error {
	if err := os.RemoveAll(filepath.Join(l.Root, "cache")); err != nil {
		return err
	}
	err := os.Remove(l.Root)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) { // a session is there
		return nil
	}
	return err
}

// change calls f while nobody else changes what resides on the host.
func (l Layout) change(ctx context.Context, f func() error) error {
	release, err := l.exclusive(ctx)
	if err != nil {
		return err
	}
	defer release()
	return f()
}

func takeAll(ctx context.Context, l Layout, services Services) error {
	l.tellToStop()
	// At once, before it is started again. The store comes second: the agent takes back through it.
	if err := services.Stop(ctx, AgentService); err != nil {
		return err
	}
	if err := takeStore(ctx, l, services); err != nil {
		return err
	}
	if err := services.Uninstall(ctx); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(l.Binary()), l.Dir()} { // the one with the lock last
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	_ = os.Remove(l.Root) // unless there is the cache, or something of sessions'
	return nil
}

func takeStore(ctx context.Context, l Layout, services Services) error {
	if err := services.Stop(ctx, StoreService); err != nil {
		return err
	}
	return os.RemoveAll(l.Store())
}

// tellToStop has the agent end for good, so that it takes back what its host exports, and waits for
// that, but not for ever: it may be without the store, or hang.
func (l Layout) tellToStop() {
	conn, err := l.dialAgent()
	if err != nil {
		return // none runs
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(revokePatience))
	if _, err := io.WriteString(conn, agent.StopLine+"\n"); err == nil {
		_, _ = io.Copy(io.Discard, conn) // until it has ended
	}
}

// dialAgent connects to the agent's control socket.
func (l Layout) dialAgent() (*net.UnixConn, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(l.Dir(), "agent.sock"), Net: "unix"})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, agent.ErrNoAgent
	}
	return conn, err
}
