package agent

import (
	"sync"

	"spore/engine"
)

// repairs counts the changes that followed no new graph.
type repairs struct {
	mu       sync.Mutex
	count    int64
	revision int64 // of the graph that is to run
	fresh    bool  // it has not settled yet: what changes does so on its account
}

func newRepairs() *repairs { return &repairs{fresh: true} }

// swap notes that the graph of a revision is about to be made the running one, and returns that of
// the one before.
func (p *repairs) swap(revision int64) (before int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, p.revision, p.fresh = p.revision, revision, true
	return before
}

func (p *repairs) note(e engine.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.State == engine.OK && len(e.Changes) > 0 && !p.fresh {
		p.count++
	}
}

// at returns the count, as of s.
func (p *repairs) at(s engine.Status) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Settled && s.Revision == p.revision {
		p.fresh = false
	}
	return p.count
}
