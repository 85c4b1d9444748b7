package resident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An upgrade puts another binary in the place of the one that resides on the host.
type upgrade struct {
	layout   Layout
	services Services
	patience time.Duration // for each service to come up
	steady   time.Duration // for which an agent has to live to be called up
}

// Upgrade has agent and store run the binary from the cache that has this SHA-256, in hex. They are
// restarted one after the other. If one of them does not come up, both go back to the binary that
// they ran before, and the error says why.
func Upgrade(ctx context.Context, l Layout, digest string) error {
	err := privileged()
	if err == nil {
		u := upgrade{layout: l, services: l.Services(), patience: 90 * time.Second, steady: 3 * time.Second}
		err = l.change(ctx, func() error { return u.to(ctx, digest) })
	}
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	return nil
}

func (u upgrade) to(ctx context.Context, digest string) error {
	l := u.layout
	if _, err := os.Stat(l.config()); errors.Is(err, fs.ErrNotExist) {
		return errNothing
	}
	if err := u.verify(ctx, digest); err != nil {
		return err
	}
	current, err := digestOf(l.Binary())
	if err != nil {
		return err
	}
	if current != digest { // else an upgrade was interrupted, and is gone on with
		if err := placeFile(l.Binary(), l.previous()); err != nil {
			return err
		}
		if err := placeFile(l.cached(digest), l.Binary()); err != nil {
			return err
		}
	}
	why := u.roll(ctx, digest)
	if why == nil {
		return l.forgetReplaced(digest)
	}
	return u.back(context.WithoutCancel(ctx), digest, why)
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// verify makes sure that the binary is the one meant, and that it runs on this host.
func (u upgrade) verify(ctx context.Context, digest string) error {
	if !sha256Hex.MatchString(digest) {
		return errors.New("the digest is no SHA-256 in hex")
	}
	path := u.layout.cached(digest)
	got, err := digestOf(path)
	if err != nil {
		return err
	}
	if got != digest {
		return fmt.Errorf("%s is damaged: its SHA-256 is %s", path, got)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	run := exec.CommandContext(ctx, path, "version") // #nosec G204 -- verified by its SHA-256
	if out, err := run.CombinedOutput(); err != nil {
		return fmt.Errorf("the new binary does not run: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// roll restarts what runs, the agent first: the store is what others need.
func (u upgrade) roll(ctx context.Context, digest string) error {
	if _, err := os.Stat(u.layout.started()); err != nil {
		return nil
	}
	if err := u.services.Restart(ctx, AgentService); err != nil {
		return err
	}
	if err := u.awaitAgent(ctx, digest); err != nil {
		return fmt.Errorf("the agent does not come up with the new binary: %w%s", err, u.lastWords(ctx, AgentService))
	}
	if state, err := u.layout.storeState(); err != nil || state == "" {
		return err
	}
	if err := u.services.Restart(ctx, StoreService); err != nil {
		return err
	}
	if err := u.awaitStore(ctx); err != nil {
		return fmt.Errorf("the store does not come up with the new binary: %w%s", err, u.lastWords(ctx, StoreService))
	}
	return nil
}

// forgetReplaced takes the binary that the one with this digest has replaced out of the cache, unless
// a session runs it. One that is about to brings it again.
func (l Layout) forgetReplaced(digest string) error {
	replaced, err := digestOf(l.previous())
	if errors.Is(err, fs.ErrNotExist) || err == nil && (replaced == digest || isRun(l.cached(replaced))) {
		return nil
	}
	if err == nil {
		err = os.RemoveAll(filepath.Dir(l.cached(replaced)))
	}
	if err != nil {
		return fmt.Errorf("the new binary runs, but the one before is left in the cache: %w", err)
	}
	return nil
}

// isRun reports whether a process was started from path. Its content may have other names, too.
func isRun(path string) bool {
	all, _ := filepath.Glob("/proc/[0-9]*/exe") // the pattern is well-formed
	return slices.ContainsFunc(all, func(exe string) bool {
		from, err := os.Readlink(exe)
		return err == nil && from == path
	})
}

func (u upgrade) lastWords(ctx context.Context, service string) string {
	if words := u.services.LastWords(ctx, service); words != "" {
		return " (its last words: " + words + ")"
	}
	return ""
}

// back returns to the binary before digest, and tells why.
func (u upgrade) back(ctx context.Context, digest string, why error) error {
	old, err := digestOf(u.layout.previous())
	if err != nil || old == digest {
		return fmt.Errorf("%w; there is no previous binary to go back to", why)
	}
	if err := placeFile(u.layout.previous(), u.layout.Binary()); err != nil {
		return fmt.Errorf("%w; nor can the previous binary be put back: %w", why, err)
	}
	if err := u.roll(ctx, old); err != nil {
		return fmt.Errorf("%w; the previous binary is back, but fails as well: %w", why, err)
	}
	return fmt.Errorf("%w; the previous binary is back and runs", why)
}

// awaitAgent waits for an agent that runs the binary with this digest, and lives.
func (u upgrade) awaitAgent(ctx context.Context, digest string) error {
	var alive runner
	var err error
	since := time.Now()
	if eventually(ctx, u.patience, func() bool {
		last := alive.pid
		if alive, err = u.layout.runner(alive); err != nil {
			return false
		}
		if alive.digest != digest {
			err = fmt.Errorf("it still runs another, %.12s", alive.digest)
			return false
		}
		if alive.pid != last {
			err, since = errors.New("it ends soon after it began"), time.Now()
		}
		return time.Since(since) >= u.steady
	}) {
		return nil
	}
	return err
}

// A runner is a process that serves the agent's control socket.
type runner struct {
	pid    int
	digest string // of its binary
}

// runner returns the process that answers now. known spares the reading of its binary again.
func (l Layout) runner(known runner) (runner, error) {
	conn, err := l.dialAgent()
	if err != nil {
		return runner{}, err
	}
	defer conn.Close()
	pid, err := peerPID(conn)
	if err != nil || pid == known.pid {
		return known, err
	}
	// What the kernel says a process runs is true of a process of any version.
	digest, err := digestOf(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return runner{}, err
	}
	return runner{pid, digest}, nil
}
