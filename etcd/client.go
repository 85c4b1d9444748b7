package etcd

import (
	"context"
	"errors"

	"spore/engine"
)

// A Client is a host's view of the store. It keeps one connection and one lease; what it exports
// and reports lives under the lease, and is written again by itself should the lease be lost.
type Client struct{}

var _ engine.World = (*Client)(nil)

// Dial returns the client of a host. It does not wait for the store to answer: calls do.
func Dial(ctx context.Context, o Options) (*Client, error) {
	return nil, errors.New("dial store: being written")
}

// Export implements [engine.World].
func (c *Client) Export(ctx context.Context, exports []engine.Export) error { return nil }

// Collect implements [engine.World].
func (c *Client) Collect(ctx context.Context, kinds []string, changed func([]engine.Export)) error {
	return nil
}

// Watch implements [engine.World].
func (c *Client) Watch(ctx context.Context, key string, changed func()) error { return nil }

// Get implements [engine.World].
func (c *Client) Get(ctx context.Context, key string) (value string, ok bool, err error) {
	return "", false, nil
}

// Put implements [engine.World].
func (c *Client) Put(ctx context.Context, key string, value *string) error { return nil }

// FollowGraph calls f with the host's graph and its revision, once there is one, and with each
// later one, until ctx is done (then it returns nil). f does not block.
func (c *Client) FollowGraph(ctx context.Context, f func(g Graph, revision int64)) error { return nil }

// Processed returns a revision such that every data write up to it that concerns this client has
// been handed to its callbacks, which have returned. It is 0 while a Collect, Watch or FollowGraph
// waits for its first answer.
func (c *Client) Processed() int64 { return 0 }

// Moved receives after Processed has changed. Its capacity is 1.
func (c *Client) Moved() <-chan struct{} { return nil }

// Report tells how the host stands. It writes only what the operator has to know: a report that
// differs from the last in Processed alone is written only if the operator has asked since. So it
// may, and should, be called whenever the state changes and after each Moved.
func (c *Client) Report(ctx context.Context, r Report) error { return nil }

// PutFacts tells what the host is.
func (c *Client) PutFacts(ctx context.Context, f Facts) error { return nil }

// Connected reports whether the store was in reach when last heard of.
func (c *Client) Connected() bool { return false }

// Link receives true when the store comes into reach and false when it is lost. Only the latest is
// kept; it has one reader.
func (c *Client) Link() <-chan bool { return nil }

// Close revokes the lease, so that exports and report go at once, and ends the connection.
func (c *Client) Close() error { return nil }
