package cluster

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"spore/etcd"
)

// errStranger says that what answered is not the cluster of the record.
var errStranger = errors.New("it leads to the store of another cluster of the same authority")

// A Link is a way to the store of a cluster. When the host that it leads through is lost, or the
// member of the store that this one leads to, it goes on through another by itself: what is being
// asked then takes longer, and nothing more.
type Link struct {
	Store *etcd.Store // as one who may do anything; closed by Close

	reacher     *Reacher
	credentials etcd.Credentials
	ctx         context.Context // of the link
	cancel      context.CancelFunc
	work        sync.WaitGroup
	conns       conns

	mu     sync.Mutex
	order  []HostRecord // the likeliest first
	search *search      // for a host; nil if there is none, or its outcome is taken
	pipes  map[*pipe]bool
	host   string // of the last pipe
}

// A search is one for a host that leads to the store. Both are set once done is closed.
type search struct {
	done chan struct{}
	pipe *pipe
	err  error
}

// A pipe is a connection to the store through a host.
type pipe struct {
	net.Conn
	host string
	link *Link
}

// Read reads, and tells the link if the connection has broken.
func (p *pipe) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if err != nil {
		p.link.drop(p, true)
	}
	return n, err
}

// Close ends the connection.
func (p *pipe) Close() error {
	p.link.drop(p, false)
	return p.Conn.Close()
}

func (r *Reacher) open(ctx context.Context) (*Link, error) {
	authority, err := r.Record.Authority()
	if err != nil {
		return nil, err
	}
	admin, err := authority.Admin()
	if err != nil {
		return nil, err
	}
	l := &Link{reacher: r, credentials: admin, order: slices.Clone(r.Record.Hosts), pipes: make(map[*pipe]bool)}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.conns.connect = r.Connect
	s := l.look()
	select {
	case <-s.done:
		err = s.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err == nil {
		l.host = s.pipe.host
		l.Store, err = etcd.Open(ctx, l.options(l.dial))
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	l.work.Go(l.watch)
	return l, nil
}

func (l *Link) options(dial func(context.Context) (net.Conn, error)) etcd.Options {
	return etcd.Options{
		// The connection leads wherever the host says, and the certificate tells that it is the cluster.
		Endpoints: []string{"https://" + l.reacher.Record.Cluster.Name}, Credentials: l.credentials, Log: l.reacher.Log, Dialer: dial,
	}
}

// Host is the host that the link leads through, or did last.
func (l *Link) Host() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.host
}

// Conn returns a connection to a host of the record, the same for all who ask while it lasts. It is
// the link's to close.
func (l *Link) Conn(ctx context.Context, host string) (Conn, error) {
	h, ok := l.reacher.Record.Host(host)
	if !ok {
		return nil, l.reacher.Record.NoHost(host)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	return l.conns.get(ctx, h)
}

// Close ends the link, and what runs on its connections.
func (l *Link) Close() error {
	l.mu.Lock()
	l.cancel() // now there is no new search
	l.mu.Unlock()
	var err error
	if l.Store != nil {
		err = l.Store.Close()
	}
	l.work.Wait()
	if s := l.search; s != nil && s.pipe != nil { // nobody took it
		err = errors.Join(err, s.pipe.Conn.Close())
	}
	return errors.Join(err, l.conns.close())
}

// dial is how Store gets its connections. A search outlives who asked for it: he asks again.
func (l *Link) dial(ctx context.Context) (net.Conn, error) {
	for {
		s := l.look()
		select {
		case <-s.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if p, err := l.take(s); p != nil || err != nil {
			return p, err
		}
	}
}

// look returns the search that is under way, or waits to be taken, or else a new one.
func (l *Link) look() *search {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.search == nil {
		s := &search{done: make(chan struct{})}
		if s.err = l.ctx.Err(); s.err != nil {
			close(s.done)
			return s
		}
		l.search = s
		l.work.Go(func() {
			defer close(s.done)
			s.pipe, s.err = l.find(l.ctx)
		})
	}
	return l.search
}

// take takes what a search has found. Another may have done so before, and then it is nothing.
func (l *Link) take(s *search) (*pipe, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.search == s {
		l.search = nil
	} else if s.err == nil {
		return nil, nil
	}
	if s.err != nil {
		return nil, s.err
	}
	l.pipes[s.pipe] = true
	l.host = s.pipe.host
	l.prefer(l.host, true)
	return s.pipe, nil
}

// prefer has the next search begin, or end, with the host.
func (l *Link) prefer(host string, first bool) {
	i := slices.IndexFunc(l.order, func(h HostRecord) bool { return h.Name == host })
	h := l.order[i]
	l.order = slices.Delete(l.order, i, i+1)
	if first {
		l.order = slices.Insert(l.order, 0, h)
	} else {
		l.order = append(l.order, h)
	}
}

// drop forgets p. If it was lost the next search begins with another host than that of p.
func (l *Link) drop(p *pipe, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pipes[p] && lost {
		l.prefer(p.host, false)
	}
	delete(l.pipes, p)
}

// watch gives up the connections through which the store does not answer, as when their member is
// apart from the others: nothing else would.
func (l *Link) watch() {
	tick := time.NewTicker(l.reacher.pace().every)
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
		before := l.live()
		err := l.check(l.ctx, l.Store)
		if err == nil || l.ctx.Err() != nil || len(before) == 0 {
			continue
		}
		l.reacher.Log.Debug("the store does not answer, going on through another host", "error", err)
		for _, p := range before {
			l.drop(p, true)
			_ = p.Close()
		}
	}
}

// live are the connections that there are.
func (l *Link) live() []*pipe {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.pipes))
}

// check asks the store something that only one with a leader answers.
func (l *Link) check(ctx context.Context, s *etcd.Store) error {
	ctx, cancel := context.WithTimeout(ctx, l.reacher.pace().bound)
	defer cancel()
	c, committed, err := s.Cluster(ctx)
	if err == nil && committed && c.ID != l.reacher.Record.Cluster.ID {
		return errStranger
	}
	return err
}

// Dial opens another connection to the store, the way that the link leads: for a tunnel to carry.
func (l *Link) Dial(ctx context.Context) (net.Conn, error) {
	c, err := l.Conn(ctx, l.Host())
	if err != nil {
		return nil, err
	}
	return c.Stream(ctx, l.reacher.pipe()...)
}
