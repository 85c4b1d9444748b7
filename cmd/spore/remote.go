package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/user"
	"time"

	"spore/engine/manifest"
	"spore/internal/fleet"
	"spore/internal/view"
	"spore/remote/dial"
)

const stopBound = 10 * time.Second // of an orderly end

// remote converges the hosts that the manifests name.
func (r *runner) remote(ctx, kill context.Context, manifests []*manifest.Manifest) (int, error) {
	hosts, err := fleet.Hosts(manifests, fleet.Selection{File: r.hosts, Limit: r.limit})
	if err != nil {
		return 0, err
	}
	if err := readable(r.sshConfig); err != nil {
		return 0, fmt.Errorf("--ssh-config: %w", err)
	}
	store := fleet.Embedded
	if len(r.seeds) > 0 {
		c, err := readCredentials(r.credentials, r.in)
		if err != nil {
			return 0, err
		}
		store = fleet.External(r.seeds, c)
	}
	dialer := r.dialer()
	slow := &slow{tell: func(text string) {
		r.sink.Emit(view.Record{Time: time.Now(), Type: view.Link, Message: text})
	}}
	defer slow.end()
	dialer.Slow = slow.add
	become, err := r.become.options(dialer)
	if err != nil {
		return 0, err
	}
	binaries, err := fleet.Binaries(version())
	if err != nil {
		return 0, err
	}
	o := fleet.Options{
		Hosts: hosts, Kinds: r.kinds, Dialer: dialer, Become: become, Concurrency: r.cconns, ConnectTimeout: time.Duration(r.connectTimeout),
		Prefix: r.prefix, TmpPrefix: r.tmpPrefix, NoCache: r.noCaching, Noop: r.noop, LogLevel: r.level,
		Bandwidth: r.bwlimit.limiter(), Owner: owner(), Version: version(), Executable: binaries, Store: store, Edits: r.edits,
		Timeout: time.Duration(r.converged), Orphan: time.Duration(r.orphan), StopBound: stopBound, Log: r.log, Sink: r.sink,
	}
	if r.detach.when != "" {
		link, err := r.depart(ctx, &o)
		if err != nil {
			return 0, err
		}
		if link != nil {
			defer link.Close()
		}
	}
	outcome, err := fleet.Run(ctx, kill, o)
	for _, h := range outcome.Recaps {
		r.sink.Emit(view.Record{Time: time.Now(), Type: view.Summary, Host: h.Host, Recap: &h.Recap})
	}
	if err != nil {
		return 0, &exitError{exitFailed, err}
	}
	return code(outcome), nil
}

func code(o fleet.Outcome) int {
	switch {
	case o.Interrupted:
		return exitInterrupted
	case o.Unreachable():
		return exitUnreachable
	case o.Failed():
		return exitFailed
	}
	return exitOK
}

// readable reports why an ssh_config that was asked for cannot be read.
func readable(config string) error {
	if config == "" || config == "none" {
		return nil
	}
	f, err := os.Open(config)
	if err != nil {
		return err
	}
	return f.Close()
}

func (r *runner) dialer() *dial.Dialer {
	d := &dial.Dialer{Config: r.sshConfig, AcceptNew: r.acceptNew, Log: r.log}
	if t := time.Duration(r.connectTimeout); t < dialTimeout {
		d.Timeout = t
	}
	if r.noInput {
		return d
	}
	if t, err := dial.NewTerminal(); err == nil { // without one nobody can be asked
		d.Prompt = t
	}
	return d
}

// owner tells who runs this, as user@machine.
func owner() string {
	name := "someone"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return name + "@" + hostname()
}

func hostname() string {
	name, _ := os.Hostname()
	return cmp.Or(name, "localhost")
}
