package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"spore/remote/dial"
)

const (
	slowTogether = 300 * time.Millisecond // hosts that are slow within it are told of in one line
	slowNamed    = 5                      // of these
)

// slow tells of hosts that take long to let us in.
type slow struct {
	tell func(text string)

	mu    sync.Mutex
	hosts []string // not told of yet
	ended bool
}

// add is for dial.Dialer.Slow.
func (s *slow) add(t dial.Target, addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	host := fmt.Sprintf("%s (%s)", t.Name(), addr)
	if strings.HasPrefix(addr, t.Name()) {
		host = addr
	}
	if s.hosts = append(s.hosts, host); len(s.hosts) == 1 {
		time.AfterFunc(slowTogether, s.flush)
	}
}

func (s *slow) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	slices.Sort(s.hosts)
	text := strings.Join(s.hosts[:min(len(s.hosts), slowNamed)], ", ")
	if len(s.hosts) > 1 {
		text = count(len(s.hosts), "host") + ": " + text
	}
	if len(s.hosts) > slowNamed {
		text += ","
	}
	s.tell("still connecting to " + text + " …")
	s.hosts = nil
}

// end has nothing be told any more.
func (s *slow) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}
