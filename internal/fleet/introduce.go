package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
)

// An introduction makes a host known to the store.
type introduction struct {
	done  chan struct{}
	stdin []byte // what the host's agents hear first
	err   error
}

// introduce begins to make the host known to the store, which may be yet to open.
func (m *member) introduce(ctx context.Context) *introduction {
	i := &introduction{done: make(chan struct{})}
	go func() {
		defer close(i.done)
		i.stdin, i.err = m.admit(ctx)
	}()
	return i
}

// wait returns what the host's agents hear first.
func (i *introduction) wait(ctx context.Context) ([]byte, error) {
	select {
	case <-i.done:
		return i.stdin, i.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// admit makes the host a user of the store and writes its graph.
func (m *member) admit(ctx context.Context) ([]byte, error) {
	store, err := m.fleet.shared(ctx)
	if err != nil {
		return nil, err
	}
	m.fleet.editor.Lock() // an edit changes grants, which those of before must not replace
	credentials, err := store.Admit(ctx, m.name, m.fleet.granted(m.name))
	m.fleet.editor.Unlock()
	if err != nil {
		return nil, fmt.Errorf("admit to store: %w", err)
	}
	line, err := json.Marshal(credentials)
	if err != nil {
		return nil, fmt.Errorf("encode credentials: %w", err)
	}
	return append(line, '\n'), m.put(ctx, m.host.Manifest)
}

// dialStore opens a connection for the host's tunnel to carry.
func (m *member) dialStore(ctx context.Context) (net.Conn, error) {
	store, err := m.fleet.shared(ctx)
	if err != nil {
		return nil, err
	}
	return store.Dial(ctx)
}
