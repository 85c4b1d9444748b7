package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxRuns bounds how many resources are checked or applied at once: each may hold a thread.
const maxRuns = 512

// shared is what the workers of one host compete for.
type shared struct {
	slots chan struct{}

	mu    sync.Mutex
	semas map[string]chan struct{}
}

func newShared() *shared {
	return &shared{slots: make(chan struct{}, maxRuns), semas: map[string]chan struct{}{}}
}

// slot waits for leave to run.
func (s *shared) slot(ctx context.Context) (release func(), err error) {
	return acquire(ctx, s.slots)
}

// hold waits until it holds one of each of the semaphores, each given as name:count. They are
// taken in the order of their names, so that two resources cannot wait for each other.
func (s *shared) hold(ctx context.Context, semas []string) (release func(), err error) {
	var held []func()
	release = func() {
		for _, f := range held {
			f()
		}
	}
	for _, sema := range slices.Compact(slices.Sorted(slices.Values(semas))) {
		name, size, err := ParseSema(sema)
		if err != nil {
			release()
			return nil, err
		}
		f, err := acquire(ctx, s.sema(name, size))
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, f)
	}
	return release, nil
}

// sema returns the semaphore of that name and size. One of another size is another one.
func (s *shared) sema(name string, size int) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fmt.Sprintf("%s:%d", name, size)
	if s.semas[key] == nil {
		s.semas[key] = make(chan struct{}, size)
	}
	return s.semas[key]
}

func acquire(ctx context.Context, c chan struct{}) (release func(), err error) {
	select {
	case c <- struct{}{}:
		return func() { <-c }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// ParseSema splits a semaphore as graphs write it, name:count. The count is 1 if it is left out.
func ParseSema(s string) (name string, count int, err error) {
	name, digits, found := strings.Cut(s, ":")
	count = 1
	if found {
		count, err = strconv.Atoi(digits)
	}
	if name == "" || err != nil || count < 1 {
		return "", 0, fmt.Errorf("semaphore %q is not name:count with a count of 1 or more", s)
	}
	return name, count, nil
}
