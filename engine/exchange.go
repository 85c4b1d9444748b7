package engine

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"
)

// runExports brings what the program exports to the world, again and again until it is there.
func (r *Runner) runExports(ctx context.Context) {
	var exports []Export
	var again <-chan time.Time // nil unless an attempt failed
	for wait := minRewatch; ; wait = min(2*wait, maxReworld) {
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-r.exports.ready:
			wait = minRewatch
		}
		if newer, ok := r.exports.take(); ok {
			exports = newer
		} else if again == nil {
			continue
		}
		again = nil
		err := r.cfg.World.Export(ctx, exports)
		switch {
		case err == nil:
			r.exports.finish()
		case ctx.Err() == nil:
			r.cfg.Log.Warn("export: will be tried again", "in", wait, "err", err)
			again = time.After(wait)
		}
	}
}

// A collector hears from the world what the hosts export, and hands it to the loop. Until it has
// done so for the first time the runner is busy.
type collector struct {
	kinds  []string
	cancel context.CancelFunc
	first  func() // says that the runner need not be busy on its account
}

// A gathering is everything that was exported of the kinds a collector asks for.
type gathering struct {
	from    *collector
	exports []Export
}

// recollect follows what the program collects. What is there already stays until a new collector
// has delivered: it is not to go and come back.
func (l *loop) recollect() {
	kinds := kindsOf(l.program.Collects)
	if l.collect != nil {
		if slices.Equal(l.collect.kinds, kinds) {
			return
		}
		l.collect.cancel() // what it still delivers is known by its from
		defer l.collect.first()
		l.collect = nil
	}
	if len(kinds) == 0 {
		l.gathered = nil
		return
	}
	ctx, cancel := context.WithCancel(l.ctx)
	l.busy.add(1)
	c := &collector{kinds: kinds, cancel: cancel, first: sync.OnceFunc(func() { l.busy.add(-1) })}
	l.collect = c
	l.world.Go(func() { l.runCollector(ctx, c) })
}

func (r *Runner) runCollector(ctx context.Context, c *collector) {
	collect := func() error {
		return r.cfg.World.Collect(ctx, c.kinds, func(exports []Export) {
			r.gathered.put(gathering{c, exports})
			c.first()
		})
	}
	keepUp(ctx, maxReworld, collect, func(wait time.Duration, err error) {
		r.cfg.Log.Warn("collect: will be tried again", "in", wait, "err", err)
	})
}

func kindsOf(collects []Collect) []string {
	var kinds []string
	for _, c := range collects {
		kinds = append(kinds, c.Kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// merge returns the program's graph with what was collected for it. An export that makes no valid
// spec is left out with a warning: it comes from another host, which must not stop this one.
func (l *loop) merge() *Graph {
	g := l.program.Graph
	if len(l.gathered) > 0 {
		g = g.Clone()
	}
	refused := map[ID]string{}
	kept := keepers{}
	for _, id := range g.Keys() {
		kept.claim(id, g.Vertex(id).Spec)
	}
	for _, e := range l.gathered {
		i := slices.IndexFunc(l.program.Collects, func(c Collect) bool { return c.Kind == e.Kind })
		if i < 0 {
			continue
		}
		id := ID{Kind: e.Kind, Name: e.Name, From: e.Host}
		spec, err := l.collected(e, l.program.Collects[i].Pattern)
		if err == nil {
			err = kept.claim(id, spec)
		}
		if err == nil {
			g.Add(id, Node{ID: id, Meta: e.Meta, Spec: spec})
			continue
		}
		if refused[id] = err.Error(); refused[id] != l.refused[id] {
			l.cfg.Log.Warn("collect: left out", "resource", id.String(), "err", err)
		}
	}
	l.refused = refused
	if g != l.program.Graph {
		Imply(g)
	}
	return g
}

// keepers are the nodes that keep something in the file system, by where that is.
type keepers map[string]Node

// claim fails if what the spec declares is kept by another node, as something else: each would undo
// the other's work for ever.
func (k keepers) claim(id ID, spec Spec) error {
	l, ok := spec.(Located)
	if !ok {
		return nil
	}
	where, _ := l.Location()
	other, taken := k[where]
	switch {
	case where == "":
	case !taken:
		k[where] = Node{ID: id, Spec: spec}
	case !reflect.DeepEqual(other.Spec, spec):
		return fmt.Errorf("%s is kept by %s already", where, other.ID)
	}
	return nil
}

func (l *loop) collected(e Export, pattern string) (spec Spec, err error) {
	kind, ok := l.cfg.Kinds[e.Kind]
	if !ok {
		return nil, fmt.Errorf("no such kind")
	}
	for _, sema := range e.Meta.Sema {
		if _, _, err := ParseSema(sema); err != nil {
			return nil, err
		}
	}
	err = guard(l.cfg.Log, func() (err error) {
		if spec, err = kind.DecodeJSON(e.Spec); err != nil {
			return err
		}
		if c, ok := spec.(Collectable); ok {
			if spec, err = c.Collected(pattern); err != nil {
				return err
			}
		}
		return spec.Validate()
	})
	return spec, err
}
