package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"syscall"
	"time"
)

// A Status is one line of List.
type Status struct {
	Name  string
	Alive bool // the process that made it is
	Hosts []string
}

// List tells which labs there are on the machine.
func List(ctx context.Context) ([]Status, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	unlock, err := lockAll(ctx) // asking for a lab's lock must not disturb one being made
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []Status
	for _, name := range names() {
		st := Status{Name: name}
		lock, err := tryLock(filepath.Join(runDir, name, "lock"))
		if err == nil {
			lock.Close()
		}
		st.Alive = errors.Is(err, syscall.EWOULDBLOCK)
		if s, err := readState(name); err == nil {
			st.Hosts = s.Hosts
		}
		out = append(out, st)
	}
	return out, nil
}

// Open gives a handle on a lab of another process, for its hosts' sake; it can't be closed.
func Open(name string) (*Lab, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	s, err := readState(name)
	if err != nil {
		return nil, err
	}
	l := open(s, slog.Default())
	l.close = func() error { return fmt.Errorf("close lab %s: it belongs to another process", name) }
	return l, nil
}

// Down takes away all dead labs and, unless name is "", that lab: its owner is asked to end.
func Down(ctx context.Context, name string) error {
	if err := supported(); err != nil {
		return err
	}
	if name != "" {
		if err := endOwner(ctx, name); err != nil {
			return err
		}
	}
	unlock, err := lockAll(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return sweep(ctx, slog.Default())
}

func endOwner(ctx context.Context, name string) error {
	s, err := readState(name)
	if err != nil {
		return err
	}
	if !s.Owner.alive() {
		return nil
	}
	if err := syscall.Kill(s.Owner.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("end owner of lab %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return waitGone(ctx, s.Owner.PID)
}
