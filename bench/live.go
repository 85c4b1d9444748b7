package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	editLimit  = 100 // ms
	driftLimit = 50  // ms
	pause      = 100 * time.Millisecond
)

// live takes figures d, e and f while one spore keeps all hosts.
func (b *bench) live(ctx context.Context) (err error) {
	graph := filepath.Join(b.dir, "live.yaml")
	if err := b.edit(graph, "first"); err != nil {
		return err
	}
	b.say("starting spore to keep %d hosts", b.hosts)
	j, err := b.start(ctx, graph)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.stop()) }()
	if b.wants("f") {
		if err := b.footprint(ctx, j); err != nil {
			return err
		}
	}
	w, err := watch(b.lab.Hosts, target)
	if err != nil {
		return err
	}
	defer w.close()
	if b.wants("d") {
		if err := b.edits(ctx, graph, w); err != nil {
			return err
		}
	}
	if b.wants("e") {
		return b.drifts(ctx, graph, w)
	}
	return nil
}

// edit saves the graph as editors do, with this content for the file called live.
func (b *bench) edit(graph, text string) error {
	job := b.job() + entry("live", text)
	if err := os.WriteFile(graph+"~", []byte(job), 0o600); err != nil {
		return err
	}
	return os.Rename(graph+"~", graph)
}

// edits times from the saving of the graph to the new content on the last host.
func (b *bench) edits(ctx context.Context, graph string, w *watcher) error {
	b.say("%d live edits", b.samples)
	var took series
	for i := range b.samples {
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		text := fmt.Sprintf("edit %d\n", i)
		start := time.Now()
		if err := b.edit(graph, text); err != nil {
			return err
		}
		if err := w.await(ctx, "live", text, b.lab.Hosts...); err != nil {
			return err
		}
		took = append(took, time.Since(start))
	}
	b.percentiles(fmt.Sprintf("d: live edit, to the last of %d hosts", b.hosts), took, editLimit)
	return nil
}

// drifts times from a foreign write on a host to its repair.
func (b *bench) drifts(ctx context.Context, graph string, w *watcher) error {
	b.say("%d foreign writes", b.samples)
	const want = "steady\n"
	if err := b.edit(graph, want); err != nil {
		return err
	}
	if err := w.await(ctx, "live", want, b.lab.Hosts...); err != nil {
		return err
	}
	var took series
	for i := range b.samples {
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		h := b.lab.Hosts[i%len(b.lab.Hosts)]
		start := time.Now()
		if err := os.WriteFile(w.path(h, "live"), []byte("foreign"), 0o644); err != nil {
			return err
		}
		if err := w.await(ctx, "live", want, h); err != nil {
			return err
		}
		took = append(took, time.Since(start))
	}
	b.percentiles("e: drift, from a foreign write to its repair", took, driftLimit)
	return nil
}

func (b *bench) percentiles(figure string, took series, limit float64) {
	for _, p := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		d := took.quantile(p.q)
		if p.name == "p50" {
			b.table.note(fmt.Sprintf("%s: p50 of %d", figure, len(took)), took.String(), "–", "–")
			continue
		}
		b.table.below(figure+": p99", short(d), "ms", d.Seconds()*1000, limit)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
