package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"spore/etcd"
	"spore/internal/view"
)

// Exit codes of an agent, beside 0.
const (
	ExitError    = 1
	ExitOrphaned = 3  // it ended because its initiator was gone for too long, or for a new one
	ExitNoAgent  = 69 // of an attach: EX_UNAVAILABLE
	ExitBusy     = 75 // EX_TEMPFAIL: another run manages the host
)

// ServeOptions are those of an agent that an initiator starts.
type ServeOptions struct {
	Options
	Vault    *Vault
	Seeds    []string
	Owner    string        // who starts it, as user@machine
	Orphan   time.Duration // how long it goes on without the store; 0 is for ever
	In       io.Reader     // the credentials as one line of JSON, then command lines
	Out      io.Writer     // its records
	LogLevel slog.Leveler
}

// Serve runs an agent until it is told to stop, has been without the store for too long, or ctx is done,
// and takes its directory away. Its records go to Out for as long as that is read and
// to whoever attaches. Serve returns the exit code, which the last record holds as well.
func Serve(ctx context.Context, o ServeOptions) int {
	j := newJournal()
	view.NewJSON(o.Out, o.Version)
	enc := json.NewEncoder(o.Out)
	j.enter() // or the end of an agent that fails at once would not wait for it
	go func() {
		defer j.leave()
		_ = j.follow(context.WithoutCancel(ctx), 0, func(r view.Record) error { return enc.Encode(r) })
	}()
	s := &server{ServeOptions: o, journal: j}
	s.Sink, s.Secrets, s.Redact = view.Redact(j, o.Vault.Redact), o.Vault.Get, o.Vault.Redact
	s.Log = view.NewLogger(s.Sink, o.LogLevel)
	code, err := s.run(ctx)
	end := view.Record{Time: time.Now(), Type: view.End, Exit: &code}
	if err != nil {
		end.Message = o.Vault.Redact(err.Error())
	}
	j.close(end, time.Second) // a reader that hangs must not hold up the end
	return code
}

type server struct {
	ServeOptions
	journal *journal
}

var (
	errStopped  = errors.New("told to stop")
	errOrphaned = errors.New("the initiator is gone")
	errYielded  = errors.New("the initiator is gone and a new one has come")
	// errSucceeded is no error: another agent exports what this one did.
	errSucceeded = errors.New("an agent that stays has taken over")
)

func (s *server) run(ctx context.Context) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in := bufio.NewReader(s.In)
	credentials, err := readCredentials(in)
	if err != nil {
		return ExitError, err
	}
	release, err := s.lock(ctx)
	if err != nil {
		if errors.As(err, new(*BusyError)) {
			return ExitBusy, err
		}
		return ExitError, err
	}
	defer release()
	// The connection outlives the work: who withdraws exports does so through it.
	if s.Client, err = etcd.Dial(context.WithoutCancel(ctx), etcd.Options{
		Endpoints: s.Seeds, Credentials: credentials, Host: s.Host, Log: s.Log,
	}); err != nil {
		return ExitError, err
	}
	defer func() { closeClient(s.Client, !errors.Is(context.Cause(ctx), errSucceeded), s.Log) }()
	o := &orphanage{client: s.Client, after: s.Orphan, log: s.Log, end: cancel}
	c, err := listenControl(ctx, s.Dir, s.journal, s.orders(cancel, o))
	if err != nil {
		return ExitError, err
	}
	defer c.listener.Close()
	go func() { _ = commands(in, c.obey) }()
	go o.watch(ctx)
	return s.work(ctx)
}

func (s *server) orders(end context.CancelCauseFunc, o *orphanage) orders {
	return orders{
		stop: func() { end(errStopped) }, yield: o.yield,
		succeed: func() int64 { end(errSucceeded); return s.Client.Lease() },
		status:  func() Status { return Status{Connected: s.Client.Connected()} },
	}
}

func (s *server) work(ctx context.Context) (int, error) {
	_, err := Run(ctx, s.Options)
	if err != nil {
		return ExitError, err
	}
	cause := context.Cause(ctx)
	if err := os.RemoveAll(s.Dir); err != nil {
		return ExitError, fmt.Errorf("clean up: %w", err)
	}
	if errors.Is(cause, errOrphaned) || errors.Is(cause, errYielded) {
		return ExitOrphaned, cause
	}
	return 0, nil
}

// closeClient ends the connection, and takes back what the host exports if that is wanted. Without
// the store that is not to be had, and not waited for.
func closeClient(c *etcd.Client, revoke bool, log *slog.Logger) {
	end := c.Leave
	if revoke {
		end = c.Close
	}
	if err := end(); err != nil {
		log.Debug("close store", "err", err)
	}
}

// lock takes the locks of the host and of the directory.
func (s *server) lock(ctx context.Context) (release func(), err error) {
	me := Holder{PID: os.Getpid(), Dir: s.Dir, Owner: s.Owner, Since: time.Now().UTC()}
	return occupy(ctx, me, newcomer)
}

// occupy takes the locks of the host and of the directory for h.
func occupy(ctx context.Context, h Holder, c claimant) (release func(), err error) {
	host, err := takeHost(ctx, filepath.Dir(h.Dir), c)
	if err != nil {
		return nil, err
	}
	own, err := takeOwn(h)
	if err == nil {
		err = os.WriteFile(filepath.Join(h.Dir, pidFile), []byte(strconv.Itoa(h.PID)+"\n"), 0o600)
	}
	if err != nil {
		host.release()
		return nil, fmt.Errorf("take directory: %w", err)
	}
	return func() { own.release(); host.release() }, nil
}

func readCredentials(in *bufio.Reader) (c etcd.Credentials, err error) {
	line, err := in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c)
	}
	if err != nil {
		return c, errors.New("read credentials: standard input must begin with them, as one line of JSON")
	}
	return c, nil
}

// An orphanage ends an agent that has been without the store for too long.
type orphanage struct {
	client interface { // an etcd.Client
		Connected() bool
		Link() <-chan bool
	}
	after time.Duration
	log   *slog.Logger
	end   context.CancelCauseFunc
}

// yield ends the agent now if it is without the store.
func (o *orphanage) yield() bool {
	if o.after == 0 || o.client.Connected() {
		return false
	}
	o.end(errYielded)
	return true
}

func (o *orphanage) watch(ctx context.Context) {
	if o.after == 0 {
		return
	}
	lost := time.NewTimer(o.after)
	defer lost.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case connected := <-o.client.Link():
			lost.Stop()
			if !connected {
				o.log.Debug("store lost", "ends after", o.after)
				lost.Reset(o.after)
			}
		case <-lost.C:
			o.end(errOrphaned)
			return
		}
	}
}
