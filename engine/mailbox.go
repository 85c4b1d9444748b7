package engine

import "sync"

// A mailbox holds the latest of what was put into it. It counts as busy from a put until the finish
// after the take that got it.
type mailbox[T any] struct {
	busy  *busy
	ready chan struct{} // capacity 1

	mu   sync.Mutex
	item T
	full bool // item has not been taken
	held bool // busy counts this mailbox
}

func newMailbox[T any](b *busy) *mailbox[T] {
	return &mailbox[T]{busy: b, ready: make(chan struct{}, 1)}
}

func (m *mailbox[T]) put(item T) {
	m.mu.Lock()
	m.item, m.full = item, true
	if !m.held {
		m.held = true
		m.busy.add(1)
	}
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

func (m *mailbox[T]) take() (T, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var zero T
	item, ok := m.item, m.full
	m.item, m.full = zero, false
	return item, ok
}

// finish says that what was taken has been dealt with.
func (m *mailbox[T]) finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held && !m.full {
		m.held = false
		m.busy.add(-1)
	}
}
