package engine

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestRandomLife leads random lives: graphs are swapped, things drift, a neighbour exports, and, in
// every other life, whatever may fail does. The rules that hold throughout are checked throughout,
// and once all is calm everything must be as declared.
func TestRandomLife(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *host) {
				l := newLife(h, seed)
				l.stormy.Store(seed%2 == 1)
				l.lead()
			})
		})
	}
}

// A life is a host, what is declared of it, and all that happens to it.
type life struct {
	*host
	rnd      *rand.Rand // the driver's; the others have their own
	export   func(...Export)
	program  *Program
	foreign  map[string]string // what the neighbour exports, with its value
	subjects map[string]*subject
	stormy   atomic.Bool // things may fail
}

// A subject is a thing under observation. requested counts the marks that were begun, acknowledged
// those that were handed over; checked is the requested that the last complete check knew of.
type subject struct {
	*thing
	requested, acknowledged, checked atomic.Int64
	inside                           atomic.Int64
}

func newLife(h *host, seed uint64) *life {
	l := &life{
		host: h, rnd: rand.New(rand.NewPCG(seed, 0)), export: h.neighbour("there"),
		program: program(), foreign: map[string]string{}, subjects: map[string]*subject{},
	}
	for i := range 12 {
		l.observe(fmt.Sprint("n", i), rand.New(rand.NewPCG(seed, uint64(i+1))))
	}
	for i := range 4 {
		l.observe(fmt.Sprint("x", i), rand.New(rand.NewPCG(seed, uint64(i+100))))
	}
	return l
}

// observe makes a thing that dawdles, fails now and then, and keeps count.
func (l *life) observe(name string, rnd *rand.Rand) {
	s := &subject{thing: l.thing(name)}
	s.echo = rnd.IntN(2) == 0
	l.subjects[name] = s
	var mu sync.Mutex
	chance := func(n int) bool {
		mu.Lock()
		defer mu.Unlock()
		return rnd.IntN(n) == 0
	}
	dawdle := func(ctx context.Context) error {
		if s.inside.Add(1) != 1 {
			l.t.Errorf("%s is run twice at once", name)
		}
		defer s.inside.Add(-1)
		if chance(2) {
			sleep(ctx, 3*time.Millisecond)
		}
		if ctx.Err() == nil && l.stormy.Load() && chance(3) {
			if chance(4) {
				panic("storm")
			}
			return errBroken
		}
		return ctx.Err()
	}
	s.on("check", func(ctx context.Context) error {
		known := s.requested.Load()
		defer s.checked.Store(known)
		return dawdle(ctx)
	})
	s.on("apply", dawdle)
	s.on("watch", func(context.Context) error {
		if l.stormy.Load() && chance(3) {
			return errBroken
		}
		return nil
	})
	s.on("watching", func(ctx context.Context) error {
		for ctx.Err() == nil {
			sleep(ctx, 500*time.Millisecond)
			if l.stormy.Load() && chance(10) {
				return errBroken
			}
		}
		return nil
	})
}

// trouble marks things at random until stop is closed.
func (l *life) trouble(s *subject, rnd *rand.Rand, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rnd.IntN(20)) * time.Millisecond):
		}
		if rnd.IntN(3) == 0 {
			s.set(fmt.Sprint("drift", rnd.IntN(3)))
		}
		s.requested.Add(1)
		s.fire()
		s.acknowledged.Add(1)
	}
}

func (l *life) lead() {
	stop := make(chan struct{})
	var troubles sync.WaitGroup
	for _, s := range l.subjects {
		rnd := rand.New(rand.NewPCG(l.rnd.Uint64(), 0))
		troubles.Go(func() { l.trouble(s, rnd, stop) })
	}
	for range 60 {
		switch l.rnd.IntN(4) {
		case 0:
			l.program = l.randomProgram()
			l.swapProgram(l.program)
		case 1:
			l.randomExports()
		}
		for range 20 {
			l.examine()
			select {
			case <-l.Moved():
			case <-time.After(time.Duration(l.rnd.IntN(1000)) * time.Microsecond):
			}
		}
	}
	close(stop)
	troubles.Wait()
	l.stormy.Store(false)
	for _, s := range l.subjects {
		s.fire()
	}
	pass(3 * maxMute) // for what was muted, and for watches that failed
	l.settle()
	l.examine()
	l.conclude()
}

// examine checks what must hold at any moment at which the host says that it is settled.
func (l *life) examine() {
	acknowledged := map[string]int64{}
	for name, s := range l.subjects {
		acknowledged[name] = s.acknowledged.Load()
	}
	if n := l.busy.n.Load(); n < 0 {
		l.t.Errorf("busy is %d", n)
	}
	status := l.Status()
	if !status.Settled {
		return
	}
	if status.Revision != l.revision {
		l.t.Errorf("settled at revision %d, after revision %d was handed over", status.Revision, l.revision)
	}
	if l.stormy.Load() {
		return // what failed is excused from being checked again at once
	}
	for _, id := range l.program.Graph.Keys() {
		if s := l.subjects[id.Name]; s.checked.Load() < acknowledged[id.Name] {
			l.t.Errorf("settled, but mark %d of %s is not checked, only %d", acknowledged[id.Name], id, s.checked.Load())
		}
	}
}

// conclude checks that everything is as declared, now that the host is settled. A noop resource may
// differ, in its value or by a refresh that it would make.
func (l *life) conclude() {
	values := maps.Clone(l.foreign)
	if len(l.program.Collects) == 0 {
		clear(values)
	}
	noops := 0
	for _, id := range l.program.Graph.Keys() {
		if n := l.program.Graph.Vertex(id); n.Meta.Noop {
			noops++
		} else {
			values[id.Name] = n.Spec.(fakeSpec).Value
		}
	}
	for name, want := range values {
		if got := l.subjects[name].get(); got != want {
			l.t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	got := l.Status().Counts
	total := len(values) + noops
	want := Counts{Total: total, OK: total - got.Differs, Differs: min(got.Differs, noops), Changed: got.Changed}
	if got != want {
		l.t.Errorf("counts %+v, want %+v", got, want)
	}
	if n := l.busy.n.Load(); n != 0 {
		l.t.Errorf("busy is %d in the end", n)
	}
}

func (l *life) randomProgram() *Program {
	var nodes []decl
	for _, i := range l.rnd.Perm(12)[:l.rnd.IntN(12)] {
		d := declare(fmt.Sprint("n", i), value(fmt.Sprint(l.rnd.IntN(2))))
		for _, earlier := range nodes {
			switch l.rnd.IntN(8) {
			case 0:
				after(earlier.ID.Name)(&d)
			case 1:
				notifiedBy(earlier.ID.Name)(&d)
			}
		}
		switch l.rnd.IntN(8) {
		case 0:
			d.Meta.Noop = true
		case 1:
			d.Meta.Sema = []string{"s", "t:2"}
		case 2:
			d.Meta.Sema = []string{"t:2", "s:1"}
		case 3:
			d.Meta.Retry = 2
		}
		nodes = append(nodes, d)
	}
	p := program(nodes...)
	if l.rnd.IntN(2) == 0 {
		p.Collects = []Collect{{Kind: "fake"}}
	}
	if l.rnd.IntN(2) == 0 {
		p.Exports = []Export{{Kind: "plain", Name: "p", Spec: []byte(`{"value":"1"}`)}}
	}
	return p
}

func (l *life) randomExports() {
	clear(l.foreign)
	var exports []Export
	for i := range 4 {
		if l.rnd.IntN(2) == 0 {
			name, v := fmt.Sprint("x", i), fmt.Sprint(l.rnd.IntN(2))
			l.foreign[name] = v
			exports = append(exports, export(name, fmt.Sprintf(`{"value":%q}`, v)))
		}
	}
	l.export(slices.Clip(exports)...)
}
