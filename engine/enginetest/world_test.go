package enginetest

import (
	"context"
	"errors"
	"path"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"spore/engine"
)

// brokenWorld is a world of which a test breaks one method.
type brokenWorld struct {
	engine.World
	export  func(ctx context.Context, exports []engine.Export) error
	collect func(ctx context.Context, kinds []string, changed func([]engine.Export)) error
	watch   func(ctx context.Context, key string, changed func()) error
	get     func(ctx context.Context, key string) (string, bool, error)
	put     func(ctx context.Context, key string, value *string) error
}

func (b *brokenWorld) Export(ctx context.Context, exports []engine.Export) error {
	return b.export(ctx, exports)
}

func (b *brokenWorld) Collect(ctx context.Context, kinds []string, changed func([]engine.Export)) error {
	return b.collect(ctx, kinds, changed)
}

func (b *brokenWorld) Watch(ctx context.Context, key string, changed func()) error {
	return b.watch(ctx, key, changed)
}

func (b *brokenWorld) Get(ctx context.Context, key string) (string, bool, error) {
	return b.get(ctx, key)
}

func (b *brokenWorld) Put(ctx context.Context, key string, value *string) error {
	return b.put(ctx, key, value)
}

// Each law is to find what breaks it, so each has a breach here.
func TestWorldLawsFindBreaches(t *testing.T) {
	broken := map[string]bool{}
	for _, breach := range worldBreaches {
		broken[breach.law] = true
		t.Run(breach.law, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := engine.NewMemory()
				world := func(host string) engine.World {
					w := memory.World(host)
					b := &brokenWorld{w, w.Export, w.Collect, w.Watch, w.Get, w.Put}
					breach.make(b, w, host, memory)
					return b
				}
				i := slices.IndexFunc(worldLaws, func(l worldLaw) bool { return l.name == breach.law })
				if err := worldLaws[i].holds(t.Context(), world); err == nil {
					t.Error("not found")
				}
			})
		})
	}
	for _, law := range worldLaws {
		if !broken[law.name] {
			t.Errorf("nothing breaks the law that %s", law.name)
		}
	}
}

var worldBreaches = []struct {
	law  string
	make func(b *brokenWorld, w engine.World, host string, m *engine.Memory)
}{
	{"collect calls soon, though there is nothing", func(b *brokenWorld, w engine.World, _ string, _ *engine.Memory) {
		b.collect = collectThen(w, func(found []engine.Export, changed func([]engine.Export)) {
			if len(found) > 0 {
				changed(found)
			}
		})
	}},
	{"what a host exports all hosts collect", func(b *brokenWorld, w engine.World, host string, _ *engine.Memory) {
		b.collect = collectThen(w, func(found []engine.Export, changed func([]engine.Export)) {
			changed(slices.DeleteFunc(found, func(e engine.Export) bool { return e.Host == host }))
		})
	}},
	{"only the kinds asked for are collected", func(b *brokenWorld, w engine.World, _ string, _ *engine.Memory) {
		b.collect = func(ctx context.Context, kinds []string, changed func([]engine.Export)) error {
			return w.Collect(ctx, append(kinds, "files"), changed)
		}
	}},
	{"exports are ordered", func(b *brokenWorld, w engine.World, _ string, _ *engine.Memory) {
		b.collect = collectThen(w, func(found []engine.Export, changed func([]engine.Export)) {
			slices.Reverse(found)
			changed(found)
		})
	}},
	{"what is no longer exported is withdrawn", func(b *brokenWorld, w engine.World, _ string, _ *engine.Memory) {
		b.export = func(ctx context.Context, exports []engine.Export) error {
			if len(exports) == 0 {
				return nil
			}
			return w.Export(ctx, exports)
		}
	}},
	{"an export is taken as it is", func(b *brokenWorld, w engine.World, _ string, _ *engine.Memory) {
		b.export = func(ctx context.Context, exports []engine.Export) error {
			own := slices.Clone(exports)
			for i := range own {
				own[i].Meta.Retry = 0
			}
			return w.Export(ctx, own)
		}
	}},
	{"the host of an export cannot be forged", func(b *brokenWorld, w engine.World, host string, m *engine.Memory) {
		b.export = func(ctx context.Context, exports []engine.Export) error {
			if len(exports) > 0 && exports[0].Host != "" {
				w = m.World(exports[0].Host)
			}
			return w.Export(ctx, exports)
		}
	}},
	{"names may hold any character", func(b *brokenWorld, w engine.World, _ string, _ *engine.Memory) {
		b.export = func(ctx context.Context, exports []engine.Export) error {
			own := slices.Clone(exports)
			for i := range own {
				own[i].Name = path.Clean(own[i].Name)
			}
			return w.Export(ctx, own)
		}
	}},
	{"the last of many exports is seen", func(b *brokenWorld, w engine.World, _ string, _ *engine.Memory) {
		calls := 0
		b.export = func(ctx context.Context, exports []engine.Export) error {
			if calls++; calls > 60 {
				return nil
			}
			return w.Export(ctx, exports)
		}
	}},
	{"a key holds what was put", func(b *brokenWorld, w engine.World, _ string, _ *engine.Memory) {
		b.get = func(ctx context.Context, key string) (string, bool, error) {
			value, _, err := w.Get(ctx, key)
			return value, value != "", err
		}
	}},
	{"keys may hold any character", func(b *brokenWorld, w engine.World, _ string, _ *engine.Memory) {
		b.put = func(ctx context.Context, key string, value *string) error { return w.Put(ctx, path.Clean(key), value) }
		b.get = func(ctx context.Context, key string) (string, bool, error) { return w.Get(ctx, path.Clean(key)) }
	}},
	{"a watch tells that it watches, then of every change", func(b *brokenWorld, w engine.World, _ string, _ *engine.Memory) {
		b.watch = func(ctx context.Context, key string, changed func()) error {
			return w.Watch(ctx, key, sync.OnceFunc(changed))
		}
	}},
	{"a value that comes back is a change", func(b *brokenWorld, w engine.World, _ string, _ *engine.Memory) {
		b.watch = func(ctx context.Context, key string, changed func()) error {
			last := "not called"
			return w.Watch(ctx, key, func() {
				if value, _, _ := w.Get(ctx, key); value != last {
					last = value
					changed()
				}
			})
		}
	}},
	{"a collect and a watch end with their context", func(b *brokenWorld, w engine.World, _ string, _ *engine.Memory) {
		b.watch = func(ctx context.Context, key string, changed func()) error {
			return errors.Join(w.Watch(ctx, key, changed), ctx.Err())
		}
	}},
	{"concurrent use is safe", func(b *brokenWorld, w engine.World, _ string, _ *engine.Memory) {
		b.collect = collectThen(w, func(found []engine.Export, changed func([]engine.Export)) {
			var group sync.WaitGroup
			for range 100 {
				group.Go(func() { changed(found) })
			}
			group.Wait()
		})
		b.put = func(ctx context.Context, key string, value *string) error {
			if key == "c/1" && *value == "7" {
				return nil
			}
			return w.Put(ctx, key, value)
		}
	}},
}

// collectThen hands what w collects to then, together with the callback it was meant for.
func collectThen(w engine.World, then func([]engine.Export, func([]engine.Export))) func(context.Context, []string, func([]engine.Export)) error {
	return func(ctx context.Context, kinds []string, changed func([]engine.Export)) error {
		return w.Collect(ctx, kinds, func(found []engine.Export) { then(found, changed) })
	}
}

// An order that is broken by chance alone would not be found each time: here the two calls overlap.
func TestOverlapIsFound(t *testing.T) {
	o := new(overlap)
	o.enter()
	if o.err() != nil {
		t.Error("one call alone is taken for two")
	}
	o.enter()
	o.leave()
	o.leave()
	if o.err() == nil {
		t.Error("two calls at a time are not found")
	}
}
