package engine

import (
	"bytes"
	"cmp"
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Memory is the exchange of hosts that live in one process: for tests, and for a single host that
// has no store. Nothing of it outlives the process.
type Memory struct {
	mu      sync.Mutex
	exports map[string][]Export // by host
	entries map[string]entry
	next    chan struct{} // closed by the next write
}

// NewMemory returns an exchange in which nothing is exported and no key has a value.
func NewMemory() *Memory {
	return &Memory{
		exports: make(map[string][]Export),
		entries: make(map[string]entry),
		next:    make(chan struct{}),
	}
}

// World returns the exchange as host sees it.
func (m *Memory) World(host string) World { return &memoryWorld{m, host} }

// write makes a change and wakes everyone who follows something.
func (m *Memory) write(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	close(m.next)
	m.next = make(chan struct{})
}

// follow calls changed with what read finds: once at once, then whenever it finds something else,
// until ctx is done. read runs under the lock, changed does not.
func follow[T any](ctx context.Context, m *Memory, read func() T, changed func(T)) error {
	var last T
	for first := true; ctx.Err() == nil; first = false {
		m.mu.Lock()
		found, next := read(), m.next
		m.mu.Unlock()
		if first || !reflect.DeepEqual(found, last) {
			changed(found)
			last = found
		}
		select {
		case <-ctx.Done():
		case <-next:
		}
	}
	return nil
}

type memoryWorld struct {
	m    *Memory
	host string
}

func (w *memoryWorld) Export(ctx context.Context, exports []Export) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	own := slices.Clone(exports)
	for i := range own {
		own[i].Host = w.host
		own[i].Meta.Sema = slices.Clone(own[i].Meta.Sema)
		own[i].Spec = bytes.Clone(own[i].Spec)
	}
	w.m.write(func() { w.m.exports[w.host] = own })
	return nil
}

func (w *memoryWorld) Collect(ctx context.Context, kinds []string, changed func([]Export)) error {
	read := func() []Export {
		var found []Export
		for _, exports := range w.m.exports {
			for _, e := range exports {
				if slices.Contains(kinds, e.Kind) {
					found = append(found, e)
				}
			}
		}
		slices.SortFunc(found, func(a, b Export) int {
			return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Host, b.Host), strings.Compare(a.Name, b.Name))
		})
		return found
	}
	return follow(ctx, w.m, read, func(found []Export) { changed(slices.Clone(found)) })
}

// entry is the value of a key, or that it has none.
type entry struct {
	value  string
	ok     bool
	writes int // so far; a value that came back is a change too
}

func (w *memoryWorld) Watch(ctx context.Context, key string, changed func()) error {
	writes := func() int { return w.m.entries[key].writes }
	return follow(ctx, w.m, writes, func(int) { changed() })
}

func (w *memoryWorld) Get(ctx context.Context, key string) (string, bool, error) {
	if err := ctx.Err(); err != nil {
		return "", false, err
	}
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	e := w.m.entries[key]
	return e.value, e.ok, nil
}

func (w *memoryWorld) Put(ctx context.Context, key string, value *string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.m.write(func() {
		e := entry{writes: w.m.entries[key].writes + 1}
		if value != nil {
			e.value, e.ok = *value, true
		}
		w.m.entries[key] = e
	})
	return nil
}
