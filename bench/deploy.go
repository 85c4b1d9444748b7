package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"spore/internal/lab"
)

const (
	files  = 20         // small files for every host
	target = "srv/data" // where they go, below the root
	cache  = "var/lib/spore"
)

// deploy takes figures a, b and c: the same files to all hosts at once.
func (b *bench) deploy(ctx context.Context) error {
	graph, err := b.writeJob()
	if err != nil {
		return err
	}
	if err := b.raceTar(ctx, graph); err != nil {
		return err
	}
	return b.raceAnsible(ctx, graph)
}

func name(i int) string    { return fmt.Sprintf("file-%02d", i) }
func content(i int) string { return fmt.Sprintf("this is small file %d\n", i) }

// writeJob writes the files as a directory for the others and as a graph for spore.
func (b *bench) writeJob() (graph string, err error) {
	dir := filepath.Join(b.dir, "tree", target)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, name(i)), []byte(content(i)), 0o644); err != nil {
			return "", err
		}
	}
	graph = filepath.Join(b.dir, "bench.yaml")
	return graph, os.WriteFile(graph, []byte(b.job()), 0o644)
}

// entry is a file of the graph, which comes after its directory.
func entry(name, content string) string {
	return fmt.Sprintf("  - {name: /%s/%s, content: %q, require: [file//%s/]}\n", target, name, content, target)
}

// job is the text of the graph.
func (b *bench) job() string {
	var g strings.Builder
	fmt.Fprintf(&g, "graph: bench\nremote: [%s]\nresources:\n  file:\n  - name: /%s/\n", strings.Join(b.names(), ", "), target)
	for i := range files {
		g.WriteString(entry(name(i), content(i)))
	}
	return g.String()
}

func (b *bench) names() (all []string) {
	for _, h := range b.lab.Hosts {
		all = append(all, h.Name)
	}
	return all
}

// raceTar compares with tar over ssh, and with the binary's bare way to the hosts.
func (b *bench) raceTar(ctx context.Context, graph string) error {
	var all []contestant
	tar := func(figure string) {
		all = append(all, contestant{"tar " + figure, b.clear(target), b.verified(b.tar)})
	}
	spore := func(figure string, remove ...string) {
		all = append(all, contestant{figure, b.clear(remove...), b.verified(b.sporeRun(graph))})
	}
	if b.wants("a") {
		tar("a")
		all = append(all, contestant{"stream", b.clear("var/tmp/stream"), b.stream})
		spore("a", target, cache)
	}
	if b.wants("bc") {
		tar("b")
		if !b.wants("a") { // something must have filled the cache
			if err := b.sporeRun(graph)(ctx); err != nil {
				return err
			}
		}
		spore("b", target)
	}
	if b.wants("c") {
		tar("c")
		spore("c")
	}
	took, err := b.race(ctx, b.rounds, all...)
	if err != nil {
		return err
	}
	b.tellTar(took)
	return nil
}

func (b *bench) tellTar(took map[string]series) {
	what := fmt.Sprintf("%d hosts × %d files", b.hosts, files)
	if s := took["a"]; s != nil {
		floor := 2*took["tar a"].median() + took["stream"].median()
		b.table.note("a: streaming the binary, cat | ssh", "–", took["stream"].String(), "–")
		b.table.note("a: "+what+", nothing cached", s.String(), "tar | ssh: "+took["tar a"].String(), ratio(s.median(), took["tar a"].median()))
		b.table.atMost("a: the same, as a share of 2 × tar + stream", s.String(), short(floor), quotient(s.median(), floor), 1)
	}
	for _, f := range [][2]string{{"b", "binary cached"}, {"c", "nothing to change"}} {
		if s := took[f[0]]; s != nil {
			floor := took["tar "+f[0]]
			b.table.atMost(f[0]+": "+f[1], s.String(), "tar | ssh: "+floor.String(), quotient(s.median(), floor.median()), 2)
		}
	}
}

func quotient(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

// quotients divides run by run: those of one round took turns.
func quotients(a, b series) (all []float64) {
	for i := range a {
		all = append(all, quotient(a[i], b[i]))
	}
	return all
}

func ratio(a, b time.Duration) string { return fmt.Sprintf("%.2f", quotient(a, b)) }

// sporeRun runs the graph to its convergence and to the end of the process.
func (b *bench) sporeRun(graph string) func(context.Context) error {
	return func(ctx context.Context) error {
		return finish(b.command(ctx, b.spore, "run", "-F", b.lab.SSHConfig(), "--no-input",
			"--remote", graph, "--converged-timeout", "0"))
	}
}

// tar is the floor: what the same files take without any management.
func (b *bench) tar(ctx context.Context) error {
	return b.each(ctx, func(ctx context.Context, h *lab.Host) error {
		pack := b.command(ctx, "tar", "-C", filepath.Join(b.dir, "tree"), "-cf", "-", "srv")
		unpack := b.ssh(ctx, h, "tar -C / -xf -")
		var err error
		if unpack.Stdin, err = pack.StdoutPipe(); err != nil {
			return err
		}
		if err := pack.Start(); err != nil {
			return err
		}
		return errors.Join(finish(unpack), pack.Wait())
	})
}

// stream copies the binary and does nothing else.
func (b *bench) stream(ctx context.Context) error {
	return b.each(ctx, func(ctx context.Context, h *lab.Host) error {
		f, err := os.Open(b.spore)
		if err != nil {
			return err
		}
		defer f.Close()
		cmd := b.ssh(ctx, h, "cat >/var/tmp/stream")
		cmd.Stdin = f
		return finish(cmd)
	})
}

func (b *bench) each(ctx context.Context, f func(context.Context, *lab.Host) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, h := range b.lab.Hosts {
		g.Go(func() error { return f(ctx, h) })
	}
	return g.Wait()
}

// clear removes paths from the disks of all hosts.
func (b *bench) clear(paths ...string) func(context.Context) error {
	return func(context.Context) error {
		for _, h := range b.lab.Hosts {
			for _, p := range paths {
				if err := os.RemoveAll(filepath.Join(h.Root(), p)); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// verified runs f and fails unless all hosts have all files then.
func (b *bench) verified(f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := f(ctx); err != nil {
			return err
		}
		for _, h := range b.lab.Hosts {
			for i := range files {
				got, err := os.ReadFile(filepath.Join(h.Root(), target, name(i)))
				if err != nil || string(got) != content(i) {
					return fmt.Errorf("host %s has not got %s: %q, %w", h.Name, name(i), got, err)
				}
			}
		}
		return nil
	}
}
