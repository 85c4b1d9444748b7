package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"spore/engine"
	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/agent"
	"spore/internal/view"
)

// here converges this machine.
func (r *runner) here(ctx context.Context, m *manifest.Manifest) (int, error) {
	dir, err := os.MkdirTemp("", "spore-run-")
	if err != nil {
		return 0, fmt.Errorf("make private directory: %w", err)
	}
	defer os.RemoveAll(dir)
	o := agent.Options{
		Manifest: m, Kinds: r.kinds, Secrets: r.behaviour.secrets, Redact: r.redact, Host: cmp.Or(r.hostname, m.Hostname, hostname()), Dir: dir,
		Noop: r.noop, Timeout: time.Duration(r.converged), Version: version(), Log: r.log, Sink: r.sink,
		Edits: func(ctx context.Context, changed func(*manifest.Manifest)) error { return r.edits(ctx, m, changed) },
	}
	if len(r.seeds) > 0 {
		if o.Client, err = r.join(ctx, o.Host); err != nil {
			return 0, err
		}
		defer o.Client.Close()
	}
	start := time.Now()
	counts, err := agent.Run(ctx, o)
	if err != nil {
		return 0, &exitError{exitFailed, err}
	}
	recap := view.Recap{Counts: counts, State: localState(ctx, counts), Took: time.Since(start)}
	r.sink.Emit(view.Record{Time: time.Now(), Type: view.Summary, Host: o.Host, Recap: &recap})
	switch {
	case ctx.Err() != nil:
		return exitInterrupted, nil
	case counts.Failed > 0:
		return exitFailed, nil
	}
	return exitOK, nil
}

func localState(ctx context.Context, c engine.Counts) string {
	switch {
	case c.Failed > 0:
		return view.StateFailed
	case c.OK == c.Total:
		return view.StateConverged
	case ctx.Err() != nil:
		return view.StateInterrupted
	}
	return view.StateConverged // but for what noop left
}

// join returns this host's client of the etcd at --seeds.
func (r *runner) join(ctx context.Context, host string) (*etcd.Client, error) {
	c, err := readCredentials(r.credentials, r.in)
	if err != nil {
		return nil, err
	}
	return etcd.Dial(ctx, etcd.Options{Endpoints: r.seeds, Credentials: c, Host: host, Log: r.log})
}

func readCredentials(path string, in io.Reader) (c etcd.Credentials, err error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return c, fmt.Errorf("read credentials: %w", err)
		}
		defer f.Close()
		in = f
	}
	if err := json.NewDecoder(in).Decode(&c); err != nil {
		return c, fmt.Errorf("read credentials %s: %w", path, err)
	}
	return c, nil
}

// enter makes the private directory the working directory: paths of sockets in it are short then.
func (f *runFlags) enter() (err error) {
	if f.file, err = filepath.Abs(f.file); err == nil {
		f.dir, err = filepath.Abs(f.dir)
	}
	if err == nil {
		err = os.Chdir(f.dir)
	}
	if err != nil {
		return fmt.Errorf("enter private directory: %w", err)
	}
	return nil
}

// serve is the agent that an initiator starts.
func (f *runFlags) serve(ctx context.Context, s stdio) error {
	level, err := f.level()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	// A connection that goes away must not take the agent along. The signals are caught rather than
	// ignored: what is ignored stays so in the commands that resources start.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGHUP)
	if err := f.enter(); err != nil {
		return err
	}
	if err := agent.CheckPlace(f.dir); err != nil {
		return err
	}
	vault := &agent.Vault{Dir: f.dir}
	b := newBehaviour(slog.New(slog.DiscardHandler))
	defer b.hub.Close()
	b.secrets = vault.Get
	manifests, err := b.load([]string{f.file})
	if err != nil {
		return err
	}
	return exit(agent.Serve(ctx, agent.ServeOptions{
		Options: agent.Options{
			Manifest: manifests[0], Kinds: b.kinds, Host: f.hostname, Dir: f.dir, Noop: f.noop, Version: version(),
		},
		Vault: vault, Seeds: f.seeds, Owner: f.owner, Orphan: time.Duration(f.orphan), In: s.in, Out: s.out, LogLevel: level,
	}))
}
