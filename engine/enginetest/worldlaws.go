package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"spore/engine"
)

var worldLaws = []worldLaw{
	{"collect calls soon, though there is nothing", collectsNothing},
	{"what a host exports all hosts collect", collectsAll},
	{"only the kinds asked for are collected", collectsKinds},
	{"exports are ordered", collectsInOrder},
	{"what is no longer exported is withdrawn", withdraws},
	{"an export is taken as it is", keepsExport},
	{"the host of an export cannot be forged", refusesForgery},
	{"names may hold any character", takesOddNames},
	{"the last of many exports is seen", seesLast},
	{"a key holds what was put", getsPut},
	{"keys may hold any character", takesOddKeys},
	{"a watch tells that it watches, then of every change", watchesKey},
	{"a value that comes back is a change", watchesReturn},
	{"a collect and a watch end with their context", endsWithContext},
	{"concurrent use is safe", concurrentUse},
}

func collectsNothing(ctx context.Context, world exchange) error {
	for _, kinds := range [][]string{{"file"}, {"file", "print"}, nil} {
		c := collect(ctx, world("a"), kinds...)
		if err := errors.Join(c.sees(), c.end()); err != nil {
			return err
		}
	}
	return nil
}

func collectsAll(ctx context.Context, world exchange) error {
	var cs []*collecting
	var want []engine.Export
	for _, host := range []string{"a", "b", "c"} {
		cs = append(cs, collect(ctx, world(host), "file"))
		e := export("file", "motd", host)
		if err := world(host).Export(ctx, []engine.Export{e}); err != nil {
			return fmt.Errorf("export: %w", err)
		}
		want = append(want, from(host, e)...)
	}
	cs = append(cs, collect(ctx, world("a"), "file")) // it comes when all is there already
	var err error
	for _, c := range cs {
		err = errors.Join(err, c.sees(want...), c.end())
	}
	return err
}

func collectsKinds(ctx context.Context, world exchange) error {
	es := []engine.Export{export("fil", "e/x", "1"), export("file", "x", "2"), export("files", "x", "3")}
	if err := world("a").Export(ctx, es); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	want := from("a", es...)
	none := collect(ctx, world("b"))
	one := collect(ctx, world("b"), "file")
	two := collect(ctx, world("b"), "files", "file", "files", "absent")
	return errors.Join(none.sees(), one.sees(want[1]), two.sees(want[1:]...), none.end(), one.end(), two.end())
}

func collectsInOrder(ctx context.Context, world exchange) error {
	want := []engine.Export{}
	for _, kind := range []string{"exec", "file"} {
		for _, host := range []string{"a", "b", "c"} {
			// In this order a slash does not come first, as it would if names were made into paths.
			for _, name := range []string{"", "!", "a", "a!", "a/b", "a0", "b", "é"} {
				want = append(want, from(host, export(kind, name, kind+host+name))...)
			}
		}
	}
	for _, host := range []string{"b", "c", "a"} {
		var own []engine.Export
		for _, e := range slices.Backward(want) {
			if e.Host == host {
				own = append(own, e)
			}
		}
		if err := world(host).Export(ctx, own); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	c := collect(ctx, world("b"), "file", "exec")
	return errors.Join(c.sees(want...), c.end())
}

func withdraws(ctx context.Context, world exchange) error {
	x, y := export("file", "x", "1"), export("print", "y", "1")
	other := export("file", "x", "of b")
	c := collect(ctx, world("c"), "file", "print")
	err := errors.Join(
		world("a").Export(ctx, []engine.Export{x, y}),
		world("b").Export(ctx, []engine.Export{other}),
		c.sees(from("a", x)[0], from("b", other)[0], from("a", y)[0]),
		world("a").Export(ctx, []engine.Export{y}),
		c.sees(from("b", other)[0], from("a", y)[0]),
		world("a").Export(ctx, []engine.Export{y}), // the same again changes nothing
		world("a").Export(ctx, nil),
		c.sees(from("b", other)...),
		world("a").Export(ctx, []engine.Export{x}), // back again
		c.sees(from("a", x)[0], from("b", other)[0]),
		world("a").Export(ctx, []engine.Export{}),
		world("b").Export(ctx, nil),
		c.sees(),
	)
	return errors.Join(err, c.end())
}

func keepsExport(ctx context.Context, world exchange) error {
	whole := engine.Export{Kind: "file", Name: "x", Spec: []byte(`{"a":["<&>\u2028",1.50,null],"b":{}}`), Meta: engine.Meta{
		Noop: true, Retry: -1, Delay: 1500e6, Poll: 2e9, Limit: 0.25, Burst: 3, Sema: []string{"s:1", "t:2"}, Timeout: 60e9,
	}}
	given := []engine.Export{whole, export("file", "y", "1")}
	given[0].Meta.Sema = slices.Clone(whole.Meta.Sema)
	given[0].Spec = slices.Clone(whole.Spec)
	want := from("a", given...)
	want[0] = from("a", whole)[0]
	if err := world("a").Export(ctx, given); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if given[0].Host != "" {
		return errors.New("export writes to its caller's slice")
	}
	// The caller may go on with what it handed in.
	given[0].Meta.Sema[0], given[0].Spec[0], given[1].Name = "z:9", 'X', "z"
	c := collect(ctx, world("b"), "file")
	return errors.Join(c.sees(want...), c.end())
}

func refusesForgery(ctx context.Context, world exchange) error {
	own := export("file", "x", "of b")
	forged := from("b", export("file", "x", "of a"))
	c := collect(ctx, world("c"), "file")
	err := errors.Join(
		world("b").Export(ctx, []engine.Export{own}),
		c.sees(from("b", own)...),
		world("a").Export(ctx, forged),
		c.sees(from("a", forged...)[0], from("b", own)[0]),
	)
	return errors.Join(err, c.end())
}

// oddNames are in order.
var oddNames = []string{
	"", " ", "%2F", "%s%d", "*?[]", ".", "..", "../../b/file/x", "/", "//", "/a", "/a/", "/a/b", "\"quo'te\"", "\\",
	"a b", "a\nb\tc", "a#b", "a:b,c", "a\x00b", "aa", "naïve", "ünï/cödé", "日本語", "🌱",
}

func takesOddNames(ctx context.Context, world exchange) error {
	var es []engine.Export
	for i, name := range slices.Sorted(slices.Values(oddNames)) {
		es = append(es, export("file", name, strconv.Itoa(i)))
	}
	c := collect(ctx, world("b"), "file")
	err := errors.Join(world("a").Export(ctx, es), c.sees(from("a", es...)...))
	for i := range es {
		if err == nil && i%8 == 0 {
			left := slices.Delete(slices.Clone(es), i, i+1)
			err = errors.Join(world("a").Export(ctx, left), c.sees(from("a", left...)...))
		}
	}
	return errors.Join(err, c.end())
}

func seesLast(ctx context.Context, world exchange) error {
	a, c := world("a"), collect(ctx, world("b"), "file")
	var last engine.Export
	for i := range 100 {
		last = export("file", strconv.Itoa(i%3), strconv.Itoa(i))
		if err := a.Export(ctx, []engine.Export{last}); err != nil {
			return errors.Join(fmt.Errorf("export: %w", err), c.end())
		}
	}
	return errors.Join(c.sees(from("a", last)...), c.end())
}

func getsPut(ctx context.Context, world exchange) error {
	if err := holdsValue(ctx, world("a"), "k", nil); err != nil {
		return err
	}
	for _, value := range []*string{new("one"), new("two"), new(""), nil, nil, new("\x00\xffthree\n")} {
		if err := world("a").Put(ctx, "k", value); err != nil {
			return fmt.Errorf("put: %w", err)
		}
		for _, host := range []string{"a", "b"} {
			if err := holdsValue(ctx, world(host), "k", value); err != nil {
				return err
			}
		}
	}
	return nil
}

func takesOddKeys(ctx context.Context, world exchange) error {
	for _, key := range oddNames {
		if err := world("a").Put(ctx, key, new("of "+key)); err != nil {
			return fmt.Errorf("put %q: %w", key, err)
		}
	}
	for _, key := range oddNames {
		if err := holdsValue(ctx, world("b"), key, new("of "+key)); err != nil {
			return err
		}
		if err := world("b").Put(ctx, key, nil); err != nil {
			return fmt.Errorf("take away %q: %w", key, err)
		}
		if err := holdsValue(ctx, world("a"), key, nil); err != nil {
			return err
		}
	}
	return nil
}

func watchesKey(ctx context.Context, world exchange) error {
	order := new(overlap)
	w := watch(ctx, func(ctx context.Context, changed func()) error {
		return world("b").Watch(ctx, "k", func() {
			order.enter()
			defer order.leave()
			changed()
		})
	})
	err := w.wait("at first")
	for i, value := range []*string{new("one"), new("two"), new(""), nil, new("two")} {
		if err == nil {
			err = errors.Join(world("a").Put(ctx, "k", value), w.wait("after put "+strconv.Itoa(i)))
		}
	}
	return errors.Join(err, w.end(), order.err())
}

// watchesReturn has the watch be busy with one value while another comes and goes: who acted on the
// other in between has to learn that the first is back.
func watchesReturn(ctx context.Context, world exchange) error {
	var hold atomic.Bool
	busy, resume := make(chan struct{}), make(chan struct{})
	w := watch(ctx, func(ctx context.Context, changed func()) error {
		return world("b").Watch(ctx, "k", func() {
			if hold.CompareAndSwap(true, false) {
				close(busy)
				<-resume
				return
			}
			changed()
		})
	})
	a, err := world("a"), w.wait("at first")
	hold.Store(err == nil)
	if err == nil {
		err = a.Put(ctx, "k", new("one"))
	}
	if err == nil {
		select {
		case <-busy:
			err = errors.Join(a.Put(ctx, "k", new("two")), a.Put(ctx, "k", new("one")))
		case <-time.After(patience):
			err = errors.New("changed was not called after a put")
		}
	}
	close(resume)
	if err == nil {
		err = w.wait("after the value was back")
	}
	return errors.Join(err, w.end())
}

func endsWithContext(ctx context.Context, world exchange) error {
	done, cancel := context.WithCancel(ctx)
	cancel()
	w := world("a")
	watchKey := func(ctx context.Context, changed func()) error { return w.Watch(ctx, "k", changed) }
	err := errors.Join(collect(done, w, "file").end(), watch(done, watchKey).end())
	c, k := collect(ctx, w, "file"), watch(ctx, watchKey)
	err = errors.Join(err, c.sees(), k.wait("at first"), c.end(), k.end())
	// A call whose context is done may fail or not, but it returns.
	return errors.Join(err,
		within("export", func() error { _ = w.Export(done, nil); return nil }),
		within("put", func() error { _ = w.Put(done, "k", nil); return nil }),
		within("get", func() error { _, _, _ = w.Get(done, "k"); return nil }),
	)
}

func concurrentUse(ctx context.Context, world exchange) error {
	const rounds = 20
	c := collect(ctx, world("c"), "file")
	var group sync.WaitGroup
	errs := make(chan error, 6*rounds*3)
	var want []engine.Export
	for _, host := range []string{"a", "b", "c"} {
		w := world(host)
		want = append(want, from(host, export("file", "x", strconv.Itoa(rounds-1)))...)
		for worker := range 2 {
			group.Go(func() {
				key := fmt.Sprintf("%s/%d", host, worker)
				for i := range rounds {
					value := strconv.Itoa(i)
					if worker == 0 {
						errs <- w.Export(ctx, []engine.Export{export("file", "x", value)})
					}
					errs <- w.Put(ctx, key, &value)
					errs <- holdsValue(ctx, w, key, &value)
				}
			})
		}
	}
	group.Wait()
	close(errs)
	var err error
	for e := range errs {
		err = errors.Join(err, e)
	}
	if err == nil {
		err = c.sees(want...)
	}
	return errors.Join(err, c.end())
}
