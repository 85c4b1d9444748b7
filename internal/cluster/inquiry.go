package cluster

import (
	"context"
	"errors"
	"sync"

	"spore/etcd"
)

var errNoAddress = errors.New("this record has no address for it")

// An inquiry asks members how they stand, each through its own host: that leads to its own member as
// long as that one answers. What leads to one stays open for the next time.
type inquiry struct {
	link *Link

	mu    sync.Mutex
	lines map[uint64]*line
}

// A line leads to one member, for one who asks at a time.
type line struct {
	once  *single
	store *etcd.Store
	ctx   context.Context // ends when the connection breaks
	end   context.CancelFunc
}

func newInquiry(l *Link) *inquiry { return &inquiry{link: l, lines: make(map[uint64]*line)} }

// ask asks a member how it stands.
func (q *inquiry) ask(ctx context.Context, m etcd.Member) (etcd.MemberStatus, error) {
	if _, ok := q.link.reacher.Record.Host(m.Host); !ok {
		return etcd.MemberStatus{}, errNoAddress
	}
	l, err := q.line(ctx, m)
	if err != nil {
		return etcd.MemberStatus{}, err
	}
	bounded, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	status, err := l.store.Self(bounded)
	if err == nil && status.ID != m.ID {
		err = errors.New("it does not answer on its host")
	}
	if err != nil {
		err = l.once.reason(err)
		q.drop(m.ID)
	}
	return status, err
}

// line returns what leads to a member, new if there is none.
func (q *inquiry) line(ctx context.Context, m etcd.Member) (*line, error) {
	q.mu.Lock()
	l := q.lines[m.ID]
	q.mu.Unlock()
	if l != nil {
		return l, nil
	}
	c, err := q.link.Conn(ctx, m.Host)
	if err != nil {
		return nil, err
	}
	stream, err := c.Stream(ctx, q.link.reacher.pipe()...)
	if err != nil {
		return nil, err
	}
	l = &line{}
	l.ctx, l.end = context.WithCancel(q.link.ctx)
	l.once = &single{Conn: stream, broke: l.end}
	if l.store, err = etcd.Open(ctx, q.link.options(l.once.dial)); err != nil {
		l.end()
		return nil, errors.Join(err, l.once.Close())
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lines[m.ID] = l
	return l, nil
}

// drop ends what leads to a member.
func (q *inquiry) drop(id uint64) {
	q.mu.Lock()
	l := q.lines[id]
	delete(q.lines, id)
	q.mu.Unlock()
	if l != nil {
		l.close()
	}
}

// close ends all; nobody asks any more.
func (q *inquiry) close() {
	for id := range q.lines {
		q.drop(id)
	}
}

func (l *line) close() {
	_ = l.store.Close()
	_ = l.once.Close()
	l.end()
}
