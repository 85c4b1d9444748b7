package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	near = 500 * time.Millisecond
	far  = 1500 * time.Millisecond
	rtt  = 20 * time.Millisecond
)

// exchange takes figure g: the example of two hosts, from the command to the moment when both hold
// both exports.
func (b *bench) exchange(ctx context.Context) error {
	took := map[string]series{}
	for _, h := range b.lab.Hosts[:2] {
		_, stop, err := h.Delay(rtt)
		if err != nil {
			return err
		}
		defer stop()
	}
	for round := range b.rounds + 1 {
		for _, distance := range []string{"", ".delayed"} {
			d, err := b.timeExchange(ctx, distance)
			if err != nil {
				return err
			}
			b.say("round %d of %d: g%s %s", round, b.rounds, distance, short(d))
			if round > 0 { // the first fills the cache
				took[distance] = append(took[distance], d)
			}
		}
	}
	b.median("g: two hosts have exchanged, cached, on a bridge", took[""], near)
	b.median(fmt.Sprintf("g: the same with a round trip of %v", rtt), took[".delayed"], far)
	return nil
}

func (b *bench) median(figure string, s series, limit time.Duration) {
	b.table.below(figure, s.String(), "s", s.median().Seconds(), limit.Seconds())
}

func (b *bench) timeExchange(ctx context.Context, distance string) (took time.Duration, err error) {
	hosts := b.lab.Hosts[:2]
	for _, h := range hosts {
		dir := filepath.Join(h.Root(), target)
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
			return 0, err
		}
	}
	var graphs []string
	for _, h := range hosts {
		g, err := b.writeExample(h.Name, distance)
		if err != nil {
			return 0, err
		}
		graphs = append(graphs, g)
	}
	w, err := watch(hosts, target)
	if err != nil {
		return 0, err
	}
	defer w.close()
	start := time.Now()
	j, err := b.launch(ctx, graphs...)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, j.stop()) }()
	for _, h := range hosts {
		text := fmt.Sprintf("i am file2%s, exported from host %s\n", h.Name, h.Name)
		if err := w.await(ctx, "file2"+h.Name, text, hosts...); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// writeExample writes the example of that host with its files in a place that is seen from outside,
// which a host's /tmp is not.
func (b *bench) writeExample(host, distance string) (string, error) {
	example, err := os.ReadFile("examples/remote2" + host + ".yaml")
	if err != nil {
		return "", err
	}
	text := strings.ReplaceAll(string(example), "/tmp/", "/"+target+"/")
	text = strings.ReplaceAll(text, "root@"+host+" ", "root@"+host+distance+" ")
	path := filepath.Join(b.dir, host+".yaml")
	return path, os.WriteFile(path, []byte(text), 0o600)
}
