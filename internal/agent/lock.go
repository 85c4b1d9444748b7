package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A lock is a file or a directory that a living process holds. The kernel gives it up for a
// process that dies.
type lock struct {
	file *os.File
	path string
}

// A Holder tells who holds a lock.
type Holder struct {
	PID   int       `json:"pid"`
	Dir   string    `json:"dir"`   // the agent's private directory
	Owner string    `json:"owner"` // who started it, as user@machine
	Since time.Time `json:"since"`
	// Cluster is the name of the detached cluster that a resident agent belongs to.
	Cluster string `json:"cluster,omitempty"`
}

// A BusyError tells that another run manages the host.
type BusyError struct{ Holder Holder }

func (e *BusyError) Error() string {
	if e.Holder.Cluster != "" {
		return fmt.Sprintf("this host belongs to the detached cluster %s: use spore deploy to give it another graph, or spore leave to take it out of there", e.Holder.Cluster)
	}
	if e.Holder.PID == 0 {
		return "another run manages this host; end that one first, or wait for it"
	}
	return fmt.Sprintf("another run manages this host: started by %s at %s (pid %d); end that one first, or wait for it",
		e.Holder.Owner, e.Holder.Since.Format(time.RFC3339), e.Holder.PID)
}

// tryLock takes the lock at path, or returns errHeld. What is not a directory is made if need be.
func tryLock(path string, flags int) (*lock, error) {
	for {
		f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, errHeld
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		l := &lock{file: f, path: path}
		if l.current() {
			return l, nil
		}
		f.Close() // its last holder removed it in between
	}
}

// takeOwn takes the lock of the holder's directory, and writes the holder in it for others to read.
func takeOwn(h Holder) (*lock, error) {
	l, err := tryLock(filepath.Join(h.Dir, lockFile), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	return l, l.write(h)
}

var errHeld = errors.New("lock is held")

// current reports whether the file that is locked is still the one at its path.
func (l *lock) current() bool {
	mine, err1 := l.file.Stat()
	there, err2 := os.Stat(l.path)
	return err1 == nil && err2 == nil && os.SameFile(mine, there)
}

func (l *lock) write(h Holder) error {
	text, err := json.Marshal(h)
	if err == nil {
		err = l.file.Truncate(0)
	}
	if err == nil {
		_, err = l.file.WriteAt(text, 0)
	}
	if err != nil {
		l.release()
		return fmt.Errorf("lock %s: %w", l.path, err)
	}
	return nil
}

// release gives the lock up.
func (l *lock) release() { _ = l.file.Close() }

// A claimant wants the lock of a host. It asks the agent that holds it to make room.
type claimant struct {
	ask    func(ctx context.Context, dir string) bool // reports whether that agent will
	within time.Duration                              // to make it
}

// newcomer is an agent of a new run: one that has lost its initiator makes room for it.
var newcomer = claimant{askToYield, 10 * time.Second}

// takeHost takes the lock that only one agent of those with their directory in base holds, which is
// base itself: so nothing is left of a holder that was killed. If whoever holds it does not make
// room, the error is a *BusyError.
func takeHost(ctx context.Context, base string, c claimant) (*lock, error) {
	const (
		poll  = 50 * time.Millisecond // a lock that is given up tells nobody
		grace = 2 * time.Second       // for an agent to learn that its initiator has gone
	)
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	yields := false
	for {
		l, err := tryLock(base, os.O_RDONLY|unix.O_DIRECTORY)
		if !errors.Is(err, errHeld) {
			return l, err
		}
		holder := readHolder(base)
		if !yields && holder.PID != 0 { // else it has taken the lock this instant, or is giving it up
			yields = c.ask(ctx, holder.Dir)
			if !yields && time.Since(begin) > grace {
				return nil, &BusyError{holder}
			}
		}
		select {
		case <-ctx.Done():
			return nil, &BusyError{holder}
		case <-time.After(poll):
		}
	}
}

// residentDir is the name of a resident agent's directory. Those of the others begin with run-.
const residentDir = "resident"

// readHolder finds who holds base: the living one of those with a directory in it.
func readHolder(base string) Holder {
	paths, _ := filepath.Glob(filepath.Join(base, "run-*", lockFile))
	for _, path := range append(paths, filepath.Join(base, residentDir, lockFile)) {
		var h Holder
		text, err := os.ReadFile(path)
		if err == nil && json.Unmarshal(text, &h) == nil && h.Dir == filepath.Dir(path) && alive(h.PID) {
			return h
		}
	}
	return Holder{}
}

func alive(pid int) bool { return pid > 0 && unix.Kill(pid, 0) == nil }

// askToYield asks the agent in dir to end if it has lost its initiator.
func askToYield(ctx context.Context, dir string) bool {
	var yields bool
	return ask(ctx, dir, "yield", &yields) == nil && yields
}
