package fleet

import (
	"context"
	"errors"
	"time"

	"spore/engine/manifest"
	"spore/remote"
)

const (
	// again is the wait after an edit that could not be brought to a host.
	again = 2 * time.Second
	// courtesy is how long the hosts have their network and CPUs to themselves after an edit, before
	// what nobody waits for follows.
	courtesy = 200 * time.Millisecond
)

// want has the host get m, in place of what it may be getting now.
func (m *member) want(next *manifest.Manifest) {
	m.mu.Lock()
	m.wanted, m.behind = next, true
	m.mu.Unlock()
	m.note()
}

// note wakes deliver.
func (m *member) note() {
	select {
	case m.edited <- struct{}{}:
	default:
	}
}

// deliver brings each edit to the host, the latest only if there are several, until ctx is done. A
// host that cannot be reached gets it when it can.
func (m *member) deliver(ctx context.Context, session *remote.Session) {
	has := map[string]manifest.File{} // what travelled, by name
	for _, f := range m.host.Manifest.Files {
		has[f.Name] = f
	}
	complained := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.edited:
		}
		err := m.bringEdit(ctx, session, has)
		switch {
		case err == nil:
			complained = false
		case errors.Is(err, errSuperseded):
		case errors.Is(err, remote.ErrEnded), ctx.Err() != nil, m.fleet.stopping.Load():
			return
		default:
			if !complained {
				m.log.Error("the edit could not be brought to the host, will try again", "err", err)
			}
			complained = true
			m.later(ctx)
		}
	}
}

// errSuperseded ends the delivery of an edit when there is a later one.
var errSuperseded = errors.New("there is a later edit")

// later has the edit tried again, unless another comes first.
func (m *member) later(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-m.edited:
	case <-time.After(again):
	}
	m.note()
}

// bringEdit brings the latest edit to the host.
func (m *member) bringEdit(ctx context.Context, session *remote.Session, has map[string]manifest.File) error {
	m.mu.Lock()
	next := m.wanted
	m.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() {
		err := m.update(ctx, session, has, next)
		if err == nil {
			m.delivered(next)
			err = m.follow(ctx, session, next)
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-m.edited:
		cancel(errSuperseded)
		<-done
		m.note()
		return errSuperseded
	}
}

// delivered notes that the host has next.
func (m *member) delivered(next *manifest.Manifest) {
	m.mu.Lock()
	m.behind = m.wanted != next
	m.mu.Unlock()
	m.fleet.poke()
}

// follow brings the graph's own file to the host, which only an agent that starts anew will read.
func (m *member) follow(ctx context.Context, s *remote.Session, next *manifest.Manifest) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(courtesy):
		return s.Push(ctx, graphFile(next))
	}
}

// update makes the host have next: files first, since the graph needs them.
func (m *member) update(ctx context.Context, s *remote.Session, has map[string]manifest.File, next *manifest.Manifest) error {
	d := compare(has, next.Files)
	for _, f := range d.changed { // it may or may not come about
		if old, ok := has[f.Name]; ok {
			f = old
		}
		f.Digest = "in doubt"
		has[f.Name] = f
	}
	err := remove(ctx, s, d.other)
	if err == nil && len(d.changed) > 0 {
		err = s.Push(ctx, files(d.changed)...)
	}
	if err == nil {
		err = remove(ctx, s, d.gone)
	}
	if err == nil && len(next.Secrets) > 0 {
		err = s.Push(ctx, secretsFile(next)...)
	}
	if err == nil {
		err = m.put(ctx, next)
	}
	if err != nil {
		return err
	}
	clear(has)
	for _, f := range next.Files {
		has[f.Name] = f
	}
	return nil
}

func remove(ctx context.Context, s *remote.Session, names []string) error {
	if len(names) == 0 {
		return nil
	}
	return s.Remove(ctx, names...)
}
