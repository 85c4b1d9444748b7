package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"spore/internal/demo"
	"spore/internal/view"
)

func newDemo(s stdio) *cobra.Command {
	var inLab bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on two hosts made for the occasion",
		Long: `demo makes two hosts, runs a graph on each, shows the exchange between them and a live edit, and ends.
The hosts are SSH servers inside this process with a temporary directory each; with --lab, as root on
Linux, they are containers with a systemd and an OpenSSH of their own, from an image that is made the
first time (some minutes, with Debian's debootstrap).`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, kill, stop := signals(c.Context())
			defer stop()
			s, ctx, stop := readers(ctx, s)
			defer stop()
			open := demo.Local
			if inLab {
				open = demo.Lab
			}
			sink := view.NewText(view.TextOptions{Out: s.out, Err: s.out, Hosts: true})
			ground, err := open(ctx, view.NewLogger(sink, slog.LevelInfo))
			if err != nil {
				return &exitError{exitFailed, err}
			}
			d := demo.Demo{Ground: ground, Out: s.out, Run: demoRun(kill, ground, s)}
			if err := errors.Join(d.Play(ctx), ground.Close()); err != nil {
				return &exitError{exitFailed, err}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&inLab, "lab", false, "on real hosts, in containers")
	return c
}

// demoRun is spore run, as the demo calls it.
func demoRun(kill context.Context, g *demo.Ground, s stdio) demo.Run {
	return func(ctx context.Context, graphs []string, hear func(view.Record)) error {
		var f runFlags
		newRunCommand(&f, stdio{})
		f.remotes, f.sshConfig, f.prefix, f.noInput = graphs, g.SSHConfig, g.Prefix, true
		show := view.NewText(view.TextOptions{Out: s.out, Err: s.out, Hosts: true})
		code, err := f.start(ctx, kill, stdio{err: io.Discard, out: io.Discard}, view.SinkFunc(func(r view.Record) {
			show.Emit(r)
			hear(r)
		}))
		if err == nil && code != exitInterrupted {
			err = exit(code)
		}
		return err
	}
}
