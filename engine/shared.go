package engine

import (
	"context"
	"fmt"
	"maps"
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
	deaf  chan struct{} // closed when the loop hears no worker any more

	mu    sync.Mutex
	semas map[string]chan struct{}
}

func newShared() *shared {
	return &shared{
		slots: make(chan struct{}, maxRuns),
		deaf:  make(chan struct{}),
		semas: map[string]chan struct{}{},
	}
}

// slot waits for leave to run.
func (s *shared) slot(ctx context.Context) (release func(), err error) {
	return acquire(ctx, s.slots)
}

// hold waits until it holds one of each of the semaphores, each given as name:count. All take them
// in one order, so that no two resources wait for each other.
func (s *shared) hold(ctx context.Context, semas []string) (release func(), err error) {
	sizes := map[string]int{} // by name:count, however that is spelled
	for _, sema := range semas {
		name, size, err := ParseSema(sema)
		if err != nil {
			return nil, err
		}
		sizes[fmt.Sprintf("%s:%d", name, size)] = size
	}
	var held []func()
	release = func() {
		for _, f := range held {
			f()
		}
	}
	for _, key := range slices.Sorted(maps.Keys(sizes)) {
		f, err := acquire(ctx, s.sema(key, sizes[key]))
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, f)
	}
	return release, nil
}

// sema returns the semaphore of that name and size. One of another size is another one.
func (s *shared) sema(key string, size int) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
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
	name, count = s, 1
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		name = s[:i]
		count, err = strconv.Atoi(s[i+1:])
	}
	if name == "" || err != nil || count < 1 {
		return "", 0, fmt.Errorf("semaphore %q is not name:count with a count of 1 or more", s)
	}
	return name, count, nil
}
