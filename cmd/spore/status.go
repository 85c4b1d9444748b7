package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"time"

	"github.com/spf13/cobra"

	"spore/internal/cluster"
)

const memberEvery = 5 * time.Second // the members are asked how they stand; hosts tell by themselves

type statusFlags struct {
	clusterFlags
	watch, json bool
}

func newStatus(s stdio) *cobra.Command {
	var f statusFlags
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how a cluster stands",
		Long: `status shows the hosts of a cluster and the members of its store, as the store has them, reached by SSH
through any host that lives. With --watch it does so anew at each change, until it is interrupted.

Exit codes: 0 nothing failed; 2 some resource failed; 4 some host is silent, or some member of the store
does not answer, or no host led to the store.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, _, stop := signals(c.Context())
			defer stop()
			return f.run(ctx, s)
		},
	}
	f.register(c)
	c.Flags().BoolVar(&f.watch, "watch", false, "show each change until interrupted")
	c.Flags().BoolVar(&f.json, "json", false, "write JSON; with --watch an object a line")
	return c
}

func (f *statusFlags) run(ctx context.Context, s stdio) error {
	link, _, err := f.open(ctx, s)
	if err != nil {
		return err
	}
	defer link.Close()
	if f.watch {
		return f.follow(ctx, s, link)
	}
	status, err := link.Status(ctx)
	if err != nil {
		return outcome(ctx, err)
	}
	if f.json {
		enc := encoder(s.out)
		enc.SetIndent("", "  ")
		err = enc.Encode(status)
	} else {
		err = status.Write(s.out, coloured(s.out))
	}
	if err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return exit(statusCode(status))
}

func encoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

func statusCode(s cluster.Status) int {
	switch {
	case s.SomeSilent():
		return exitUnreachable
	case s.SomeFailed():
		return exitFailed
	}
	return exitOK
}

// coloured says whether what is written to w is to have colours.
func coloured(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// follow shows each change of the status.
func (f *statusFlags) follow(ctx context.Context, s stdio, link *cluster.Link) error {
	show := lines(s.out)
	switch {
	case f.json:
		show = objects(s.out)
	case isTerminal(s.out) && os.Getenv("TERM") != "dumb":
		p := &painter{out: s.out, colour: coloured(s.out), size: size(s.out), now: time.Now}
		defer p.end()
		show = p.paint
	}
	watching, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err := link.Observe(watching, memberEvery, func(s cluster.Status) {
		if err := show(s); err != nil {
			stop(fmt.Errorf("write to standard output: %w", err))
		}
	})
	if err == nil {
		err = context.Cause(watching)
	}
	return outcome(ctx, err)
}

// objects shows each status that differs from the one before as JSON, one a line.
func objects(w io.Writer) func(cluster.Status) error {
	enc := encoder(w)
	var before *cluster.Status
	return func(s cluster.Status) error {
		if before != nil && reflect.DeepEqual(*before, s) {
			return nil
		}
		before = &s
		return enc.Encode(s)
	}
}

// lines shows the first status in full and then what changes, for where nothing can be painted anew.
func lines(w io.Writer) func(cluster.Status) error {
	var before *cluster.Status
	return func(s cluster.Status) error {
		last := before
		before = &s
		if last == nil {
			return s.Write(w, false)
		}
		for _, line := range s.Changes(*last) {
			if _, err := fmt.Fprintln(w, time.Now().Format(time.TimeOnly)+" "+line); err != nil {
				return err
			}
		}
		return nil
	}
}
