package cluster

import (
	"errors"
	"testing"

	"spore/etcd"
)

// opened counts the pipes that were opened on a host.
func (f *fakeHost) opened() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.streams)
}

// TestMembersAreAskedOverOneLine asks a member again and again, and once more when its host is back.
func TestMembersAreAskedOverOneLine(t *testing.T) {
	record := threeHosts(t)
	store := startStore(t, record)
	n := network{"a": {store: store.Dial}, "b": {login: errNotThere}, "c": {login: errNotThere}}
	l := open(t, n.reacher(record))
	members, err := l.Store.Members(bounded(t))
	if err != nil || len(members) != 1 {
		t.Fatalf("members %v (%v)", members, err)
	}
	m := members[0]
	m.Host = "b"
	q := newInquiry(l)
	defer q.close()
	if _, err := q.ask(bounded(t), m); !errors.Is(err, errNotThere) {
		t.Errorf("a host that is down: %v", err)
	}
	b := n["b"]
	b.mu.Lock()
	b.login, b.store = nil, store.Dial
	b.mu.Unlock()
	for range 3 {
		if got, err := q.ask(bounded(t), m); err != nil || got.ID != m.ID || got.Leader != m.ID || got.Size == 0 {
			t.Errorf("it stands as %+v (%v)", got, err)
		}
	}
	if n := b.opened(); n != 1 {
		t.Errorf("%d pipes were opened for three questions", n)
	}
	b.crash()
	if got, err := q.ask(bounded(t), m); err == nil {
		t.Errorf("a host that has crashed: %+v", got)
	}
	b.mu.Lock()
	b.login = nil
	b.mu.Unlock()
	if got, err := q.ask(bounded(t), m); err != nil || got.ID != m.ID {
		t.Errorf("it is back: %+v (%v)", got, err)
	}
	if _, err := q.ask(bounded(t), etcd.Member{ID: 7, Host: "nobody"}); !errors.Is(err, errNoAddress) {
		t.Errorf("one without an address: %v", err)
	}
}
