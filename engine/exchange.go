package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// An exporter brings what the program exports to the world, again and again until it is there.
type exporter struct{ ended chan struct{} }

func startExporter(ctx context.Context, r *Runner) *exporter {
	e := &exporter{ended: make(chan struct{})}
	go func() {
		defer close(e.ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-r.exports.ready:
			}
			if exports, ok := r.exports.take(); ok {
				export(ctx, r, exports)
				r.exports.finish()
			}
		}
	}()
	return e
}

func export(ctx context.Context, r *Runner, exports []Export) {
	for wait := minRewatch; ctx.Err() == nil; wait = min(2*wait, maxRewatch) {
		err := r.cfg.World.Export(ctx, exports)
		if err == nil || ctx.Err() != nil {
			return
		}
		r.cfg.Log.Warn("export: will be tried again", "in", wait, "err", err)
		sleep(ctx, wait)
		if newer, ok := r.exports.take(); ok {
			exports = newer
		}
	}
}

func (e *exporter) wait() { <-e.ended }

// A collector hears from the world what the hosts export, and hands it to the loop. Until it has
// done so for the first time the runner is busy.
type collector struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// A gathering is everything that was exported of the kinds a collector asks for.
type gathering struct {
	from    *collector
	exports []Export
}

func startCollector(ctx context.Context, r *Runner, collects []Collect) *collector {
	ctx, cancel := context.WithCancel(ctx)
	c := &collector{cancel: cancel, ended: make(chan struct{})}
	r.busy.add(1)
	first := sync.OnceFunc(func() { r.busy.add(-1) })
	go func() {
		defer close(c.ended)
		defer first()
		c.run(ctx, r, kindsOf(collects), func(exports []Export) {
			r.gathered.put(gathering{c, exports})
			first()
		})
	}()
	return c
}

func (c *collector) run(ctx context.Context, r *Runner, kinds []string, changed func([]Export)) {
	for wait := minRewatch; ctx.Err() == nil; wait = min(2*wait, maxRewatch) {
		err := r.cfg.World.Collect(ctx, kinds, changed)
		if err == nil || ctx.Err() != nil {
			return
		}
		r.cfg.Log.Warn("collect: will be tried again", "in", wait, "err", err)
		sleep(ctx, wait)
	}
}

// stop ends the collector; what it delivered and nobody took yet is recognised by its from.
func (c *collector) stop() {
	c.cancel()
	<-c.ended
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
func (l *loop) merge(p *Program, exports []Export) *Graph {
	g := p.Graph
	if len(exports) > 0 {
		g = g.Clone()
	}
	for _, e := range exports {
		i := slices.IndexFunc(p.Collects, func(c Collect) bool { return c.Kind == e.Kind })
		if i < 0 {
			continue
		}
		id := ID{Kind: e.Kind, Name: e.Name, From: e.Host}
		spec, err := l.collected(e, p.Collects[i].Pattern)
		if err != nil {
			l.cfg.Log.Warn("collect: left out", "resource", id.String(), "err", err)
			continue
		}
		g.Add(id, Node{ID: id, Meta: e.Meta, Spec: spec})
	}
	return g
}

func (l *loop) collected(e Export, pattern string) (Spec, error) {
	kind, ok := l.cfg.Kinds[e.Kind]
	if !ok {
		return nil, fmt.Errorf("no such kind")
	}
	spec, err := kind.DecodeJSON(e.Spec)
	if err != nil {
		return nil, err
	}
	if c, ok := spec.(Collectable); ok && pattern != "" {
		if spec, err = c.Collected(pattern); err != nil {
			return nil, err
		}
	}
	return spec, spec.Validate()
}
