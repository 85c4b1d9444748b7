package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"spore/engine/manifest"
	"spore/internal/edits"
	"spore/internal/secret"
	"spore/internal/view"
	"spore/remote/dial"
)

// runFlags are the flags of spore run.
type runFlags struct {
	remotes, seeds          []string
	hosts, limit            string
	file, hostname          string
	noServer                bool
	depth                   int
	cconns                  int
	bwlimit                 bandwidth
	noCaching               bool
	prefix, tmpPrefix       string
	converged               seconds
	noop, diff              bool
	json, verbose           bool
	logLevel                string
	sshConfig               string
	acceptNew, noInput      bool
	become                  becomeFlags
	connectTimeout, orphan  seconds
	credentials, dir, owner string
	detach                  detachFlags
}

func newRun(s stdio) *cobra.Command { return newRunCommand(new(runFlags), s) }

// newRunCommand returns spore run, whose flags are kept in f and have their defaults there.
func newRunCommand(f *runFlags, s stdio) *cobra.Command {
	f.converged, f.connectTimeout, f.orphan = never, seconds(30*time.Second), seconds(5*time.Minute)
	c := &cobra.Command{
		Use:   "run (--remote GRAPH... | --file GRAPH)",
		Short: "Converge hosts over SSH, or this machine",
		Long: `run --remote brings each graph to the hosts that it names in its own "remote", over SSH, and keeps
them converged until it is interrupted or --converged-timeout has passed. Saving a graph file applies
the difference at once. ^C ends everything in order; a second ^C ends it at once.

run --file converges the machine it runs on.`,
		Example: `  spore run --remote a.yaml --remote b.yaml --converged-timeout 5
  spore run --file site.yaml --noop --diff`,
		Args: whatToRun,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context(), s) },
	}
	f.register(c)
	return c
}

func (f *runFlags) register(c *cobra.Command) {
	fl := c.Flags()
	fl.SortFlags = false
	f.registerGraphs(fl)
	fl.StringVar(&f.file, "file", "", "a `GRAPH` file for this machine")
	fl.Var(&f.converged, "converged-timeout", "end when everything has been converged for so long: seconds or a duration; 0 is at once")
	fl.BoolVar(&f.noop, "noop", false, "only report what would change; nothing is changed or exported")
	f.registerOutput(fl)
	f.registerSSH(fl)
	f.detach.register(fl)
	fl.BoolVar(&f.noCaching, "no-caching", false, "leave not even the binary on the hosts")
	fl.StringVar(&f.prefix, "prefix", "", "the `DIR` on the hosts for the cached binary and all else, %h in it being the host's name; found by itself if not given")
	fl.StringVar(&f.tmpPrefix, "tmp-prefix", "", "the `DIR` on the hosts for what goes when the run ends")
	fl.Var(&f.orphan, "orphan-timeout", "how long a host goes on without the initiator before it cleans up; 0 is for ever")
	fl.StringSliceVar(&f.seeds, "seeds", nil, "`URLS` of an etcd to use in place of an own one")
	fl.StringVar(&f.credentials, "credentials", "", "the `FILE` with the certificates for --seeds, as JSON with ca, cert and key in PEM; - is standard input")
	fl.BoolVar(&f.noServer, "no-server", false, "serve no etcd here")
	fl.StringVar(&f.hostname, "hostname", "", "the `NAME` of this machine in the exchange, with --file")
	fl.Var(number{&f.depth, 0}, "depth", "how many hops from the initiator this process is")
	fl.StringVar(&f.dir, "dir", "", "the private `DIR` in which an initiator has put this agent")
	fl.StringVar(&f.owner, "owner", "", "`WHO` started this agent, for others to read")
	c.MarkFlagsMutuallyExclusive("remote", "file")
	c.MarkFlagsMutuallyExclusive("remote", "hostname")
	c.MarkFlagsMutuallyExclusive("file", "become")
	c.MarkFlagsMutuallyExclusive("file", "detach")
}

// whatToRun reports a command line without a graph, or with one that no flag announces.
func whatToRun(c *cobra.Command, args []string) error {
	switch {
	case len(args) > 0:
		return fmt.Errorf("%q has no flag in front of it: each graph takes its own --remote, or --file", args[0])
	case !c.Flags().Changed("remote") && !c.Flags().Changed("file"):
		return errors.New("no graph is given: --remote brings one to the hosts that it names, --file is for this machine")
	}
	return nil
}

// registerGraphs are the flags that say which graphs go to which hosts.
func (f *runFlags) registerGraphs(fl *pflag.FlagSet) {
	fl.StringArrayVar(&f.remotes, "remote", nil, "a `GRAPH` file to bring to the hosts it names; may be repeated")
	fl.StringVar(&f.hosts, "hosts", "", "a `FILE` of host addresses, one a line, for the graphs that name no host")
	fl.StringVar(&f.limit, "limit", "", "only the hosts whose names match one of these `PATTERNS`, such as web*,db[1:3],!web7")
}

// registerOutput are the flags that say what is shown.
func (f *runFlags) registerOutput(fl *pflag.FlagSet) {
	fl.BoolVar(&f.diff, "diff", false, "show how texts differ")
	fl.BoolVar(&f.json, "json", false, "write one JSON object a line to standard output")
	fl.StringVar(&f.logLevel, "log-level", "info", "what to log: debug, info, warn or error")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "the same as --log-level debug")
}

// registerSSH are the flags that say how hosts are reached.
func (f *runFlags) registerSSH(fl *pflag.FlagSet) {
	f.cconns = 20
	fl.Var(number{&f.cconns, 1}, "cconns", "how many hosts to set up at once")
	fl.Var(&f.bwlimit, "bwlimit", "send no more bytes a second than this to all hosts together, such as 800K or 1.5M; of binaries and files, not of what the hosts tell each other")
	fl.StringVarP(&f.sshConfig, "ssh-config", "F", "", "an ssh_config `FILE` in place of ~/.ssh/config and the system's; none for neither")
	fl.BoolVar(&f.acceptNew, "accept-new-host-keys", false, "trust, and remember, the key of a host that is met for the first time")
	fl.BoolVar(&f.noInput, "no-input", false, "never prompt: a host that would need it fails")
	f.become.register(fl)
	fl.Var(&f.connectTimeout, "connect-timeout", "how long to try to reach a host for the first time")
}

func (f *runFlags) run(ctx context.Context, s stdio) error {
	if f.dir != "" {
		return f.serve(ctx, s)
	}
	if err := f.check(); err != nil {
		return err
	}
	ctx, kill, stop := signals(ctx)
	defer stop()
	s, ctx, stop = readers(ctx, s)
	defer stop()
	code, err := f.start(ctx, kill, s, f.view(s))
	if err != nil {
		return err
	}
	return exit(code)
}

// check reports flags that make no sense, before anything is shown or touched.
func (f *runFlags) check() error {
	switch {
	case len(f.seeds) > 0 && f.credentials == "":
		return errors.New("--seeds needs --credentials: the certificates to reach it with")
	case f.noServer && len(f.seeds) == 0:
		return errors.New("--no-server needs --seeds: where the store is")
	case f.file != "" && len(f.seeds) > 0 && f.converged != never:
		return errors.New("--converged-timeout does not go with --file and --seeds: one host cannot tell when the others have converged")
	}
	if err := f.become.check(); err != nil {
		return err
	}
	if err := f.checkDetach(); err != nil {
		return err
	}
	_, err := f.level()
	return err
}

// start runs until ctx is done, or something else ends it, tells sink how it ended, and returns the
// exit code.
func (f *runFlags) start(ctx, kill context.Context, s stdio, sink view.Sink) (int, error) {
	defer context.AfterFunc(ctx, func() {
		sink.Emit(view.Record{Time: time.Now(), Type: view.Link, Message: "interrupted: ending in order; a second ^C ends at once"})
	})()
	code, err := f.converge(ctx, kill, s, sink)
	end := view.Record{Time: time.Now(), Type: view.End, Exit: &code}
	if err != nil {
		code, end.Message = codeOf(err), err.Error()
	}
	sink.Emit(end)
	return code, err
}

func (f *runFlags) converge(ctx, kill context.Context, s stdio, sink view.Sink) (int, error) {
	level, err := f.level()
	if err != nil {
		return 0, err
	}
	var known secret.Redactor
	sink = view.Redact(sink, known.Redact)
	log := view.NewLogger(sink, level)
	b := newBehaviour(log)
	defer b.hub.Close()
	b.secrets = f.secrets(ctx, &known)
	paths := f.remotes
	if f.file != "" {
		paths = []string{f.file}
	}
	manifests, err := b.load(paths)
	if err != nil {
		return 0, err
	}
	for _, m := range manifests {
		for _, w := range m.Warnings {
			fmt.Fprintln(s.err, w)
		}
	}
	r := &runner{runFlags: f, behaviour: b, sink: sink, log: log, level: level, stdio: s, redact: known.Redact}
	if f.file != "" {
		return r.here(ctx, manifests[0])
	}
	return r.remote(ctx, kill, manifests)
}

// secrets returns what finds out what references stand for; known is told of each secret.
func (f *runFlags) secrets(ctx context.Context, known *secret.Redactor) func(dir, reference string) (string, error) {
	var r secret.Resolver
	if !f.noInput {
		r.Ask = ask
	}
	return func(dir, reference string) (string, error) {
		value, err := r.Resolve(ctx, dir, reference)
		known.Add(value)
		return value, err
	}
}

// ask asks the person at the terminal for a secret.
func ask(ctx context.Context, question string) (string, error) {
	t, err := dial.NewTerminal()
	if err != nil {
		return "", err
	}
	defer t.Close()
	return t.Prompt(ctx, dial.Question{Text: question})
}

// A runner is what the ways to run share.
type runner struct {
	*runFlags
	behaviour
	stdio
	sink   view.Sink
	log    *slog.Logger
	level  slog.Level
	redact func(string) string
}

func (r *runner) edits(ctx context.Context, m *manifest.Manifest, changed func(*manifest.Manifest)) error {
	e := &edits.Follower{Hub: r.hub, Options: r.options(), Log: r.log}
	return e.Follow(ctx, m, changed)
}

func (f *runFlags) level() (level slog.Level, err error) {
	if f.verbose {
		return slog.LevelDebug, nil
	}
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return 0, fmt.Errorf("--log-level %q is none of debug, info, warn, error", f.logLevel)
	}
	return level, nil
}

func (f *runFlags) view(s stdio) view.Sink {
	if f.json {
		return view.NewJSON(s.out, version())
	}
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	terminal := isTerminal(s.err)
	width, _ := size(s.out)()
	return view.NewText(view.TextOptions{
		Out: s.out, Err: s.err, Terminal: terminal, Diff: f.diff || f.noop, Hosts: f.file == "",
		Colour: terminal && !plain, ColourRecap: isTerminal(s.out) && !plain, Width: width,
	})
}
