package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"
	"spore/engine"
)

// A Client is a host's view of the store. It keeps one connection and one lease; what it exports
// and reports lives under the lease, and is written again by itself should the lease be lost.
type Client struct {
	host    string
	log     *slog.Logger
	etcd    *clientv3.Client
	stream  *stream
	session *session
	cancel  context.CancelFunc
	closing sync.Once
	running sync.WaitGroup

	predecessor *predecessor

	connected atomic.Bool
	link      chan bool

	reporting sync.Mutex
	reported  *Report                // what was last made the session's
	standing  atomic.Pointer[Report] // as last told
}

var _ engine.World = (*Client)(nil)

const (
	defaultTTL    = 30 * time.Second
	maxFailures   = 20
	maxFailureLen = 500
)

// Dial returns the client of a host. It does not wait for the store to answer: calls do.
func Dial(ctx context.Context, o Options) (*Client, error) {
	if o.Host == "" {
		o.Host = o.Credentials.Host
	}
	if o.Host == "" {
		return nil, errors.New("dial store: the host has no name")
	}
	if o.TTL == 0 {
		o.TTL = defaultTTL
	}
	etcd, err := o.connect()
	if err != nil {
		return nil, fmt.Errorf("dial store: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &Client{host: o.Host, log: o.Log, etcd: etcd, cancel: cancel, link: make(chan bool, 1)}
	c.session = newSession(ctx, etcd, o.Host, o.TTL, o.Log)
	c.session.latest = c.runsLatest
	c.stream = newStream(etcd, c.linked, c.session.saw, o.hold)
	c.predecessor = newPredecessor(c.session, o.Predecessor)
	c.running.Go(func() { c.stream.run(ctx) })
	c.running.Go(c.session.run)
	c.running.Go(c.predecessor.run)
	c.running.Go(func() { c.followSync(ctx) })
	return c, nil
}

// followSync learns when the operator asks to catch up.
func (c *Client) followSync(ctx context.Context) {
	for ctx.Err() == nil {
		err := c.stream.follow(ctx, span{key: syncKey}, func(ch change) {
			for _, e := range ch.events {
				c.stream.asked.Store(max(c.stream.asked.Load(), e.Kv.ModRevision))
			}
			c.stream.catchUp()
		})
		if err == nil {
			return
		}
		c.log.Warn("cannot follow the operator, will try again", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(callTimeout):
		}
	}
}

func (c *Client) linked(up bool) {
	c.connected.Store(up)
	select { // only the latest counts
	case <-c.link:
	default:
	}
	c.link <- up
}

// FollowGraph calls f with the host's graph and its revision as soon as the store tells, which is 0
// if it has none that can be read, and with each other one, until ctx is done (then it returns nil).
// That is an older one if a store was revived that had lost the last. f does not block.
func (c *Client) FollowGraph(ctx context.Context, f func(g Graph, revision int64)) error {
	last, told := int64(0), false
	return c.stream.follow(ctx, span{key: graphKey(c.host)}, func(ch change) {
		for _, e := range ch.events {
			if isDelete(e) || e.Kv.ModRevision == last {
				continue
			}
			last = e.Kv.ModRevision
			var g Graph
			if err := json.Unmarshal(e.Kv.Value, &g); err != nil {
				c.log.Error("cannot read the graph that the operator sent", "revision", last, "error", err)
				continue
			}
			told = true
			f(g, last)
		}
		if !told {
			told = true
			f(Graph{}, 0)
		}
	})
}

// Processed returns a revision such that every data write up to it that concerns this client has
// been handed to its callbacks, which have returned. It is 0 while a Collect, Watch or FollowGraph
// waits for its first answer.
func (c *Client) Processed() int64 { return c.stream.processed.Load() }

// Moved receives after Processed has changed. Its capacity is 1.
func (c *Client) Moved() <-chan struct{} { return c.stream.moved }

// Report tells how the host stands, and returns when the store knows. It writes only what the
// operator has to know: a report that differs from the last in Processed alone is written only if
// the operator has asked since. So it may, and should, be called whenever the state changes and
// after each Moved.
func (c *Client) Report(ctx context.Context, r Report) error {
	c.reporting.Lock()
	defer c.reporting.Unlock()
	r.Failures = shorten(r.Failures)
	now := r
	c.standing.Store(&now)
	if c.reported != nil && !c.worthWriting(*c.reported, r) {
		r = *c.reported
	}
	value, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	c.reported = &r
	err = c.session.set(ctx, func(wanted map[string][]byte) { wanted[reportKey(c.host)] = value })
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if r.Settled {
		c.predecessor.retire()
	}
	return nil
}

// runsLatest says whether the host runs the graph that the store has for it now, all of it.
func (c *Client) runsLatest(ctx context.Context) (bool, error) {
	r := c.standing.Load()
	switch {
	case r == nil: // it takes no graph from the store
		return true, nil
	case !r.Settled:
		return false, nil
	}
	graph, err := call(ctx, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return c.etcd.Get(ctx, graphKey(c.host), clientv3.WithKeysOnly())
	})
	if err != nil {
		return false, fmt.Errorf("look for a newer graph: %w", err)
	}
	revision := int64(0)
	if len(graph.Kvs) == 1 {
		revision = graph.Kvs[0].ModRevision
	}
	return revision == r.Graph, nil
}

// worthWriting says whether r tells more than last did.
func (c *Client) worthWriting(last, r Report) bool {
	if asked := c.stream.asked.Load(); last.Processed < asked && r.Processed >= asked {
		return true
	}
	last.Processed = r.Processed
	return !reflect.DeepEqual(last, r)
}

// shorten bounds what a report holds.
func shorten(failures []string) []string {
	var short []string
	for _, f := range failures[:min(len(failures), maxFailures)] {
		short = append(short, strings.ToValidUTF8(f[:min(len(f), maxFailureLen)], ""))
	}
	return short
}

// PutFacts tells what the host is.
func (c *Client) PutFacts(ctx context.Context, f Facts) error {
	value, err := json.Marshal(f)
	if err == nil {
		err = checkSize(value)
	}
	if err == nil {
		err = c.session.set(ctx, func(wanted map[string][]byte) { wanted[factsKey(c.host)] = value })
	}
	if err != nil {
		return fmt.Errorf("tell facts: %w", err)
	}
	return nil
}

// Connected reports whether the store was in reach when last heard of.
func (c *Client) Connected() bool { return c.connected.Load() }

// Link receives true when the store comes into reach and false when it is lost. Only the latest is
// kept; it has one reader.
func (c *Client) Link() <-chan bool { return c.link }

// Lease returns the number of the lease, or 0 while there is none, for a successor.
func (c *Client) Lease() int64 { return c.session.current.Load() }

// Close revokes the lease, if the store is in reach, so that exports and report go at once; and it
// ends the connection.
func (c *Client) Close() error { return c.end(c.withdraw) }

// Leave is Close, but exports and report stay for as long as the lease lasts: for a successor whose
// Options name it.
func (c *Client) Leave() error { return c.end(func() error { return nil }) }

// end ends the client, once.
func (c *Client) end(withdraw func() error) (err error) {
	c.closing.Do(func() {
		c.cancel()
		c.running.Wait()
		err = withdraw()
		_ = c.etcd.Close() // it reports that it was closed
	})
	return err
}

// withdraw takes away what the client exports and reports. All else has ended.
func (c *Client) withdraw() error {
	if c.etcd.ActiveConnection().GetState() != connectivity.Ready {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.session.ctx), revokeWithin)
	defer cancel()
	err := errors.Join(c.session.revoke(ctx), c.predecessor.revoke(ctx))
	if err != nil {
		return fmt.Errorf("close store: withdraw exports: %w (they vanish by themselves within %v)", err, c.session.ttl)
	}
	return nil
}
