package engine

import (
	"context"
	"encoding/json"
)

// An Export is one resource that a host offers to the others.
type Export struct {
	Host string          `json:"host"`
	Kind string          `json:"kind"`
	Name string          `json:"name"`
	Meta Meta            `json:"meta"`
	Spec json.RawMessage `json:"spec"`
}

// World is the exchange between hosts as one host sees it. Its callbacks never block and run one
// after the other. All methods are safe for concurrent use; those that write return when the write
// is acknowledged, and may be repeated after an error.
type World interface {
	// Export makes exports all that this host exports: what it exported before and is not among
	// them is withdrawn. The entries' Host is filled in. They vanish a bounded time after the host.
	Export(ctx context.Context, exports []Export) error
	// Collect calls changed with everything exported of these kinds, by all hosts including this
	// one, ordered by kind, host and name: once soon, then at every change. It returns nil when ctx
	// is done.
	Collect(ctx context.Context, kinds []string, changed func([]Export)) error
	// Watch calls changed once when it is watching key, then whenever key may have changed. It
	// returns nil when ctx is done.
	Watch(ctx context.Context, key string, changed func()) error
	// Get returns the value of key, and whether it has one.
	Get(ctx context.Context, key string) (value string, ok bool, err error)
	// Put gives key a value; nil takes the key away.
	Put(ctx context.Context, key string, value *string) error
}
