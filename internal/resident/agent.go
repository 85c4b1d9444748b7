package resident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"spore/engine"
	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/agent"
	"spore/internal/secret"
)

func (l Layout) endpoints() string { return filepath.Join(l.Dir(), "endpoints.json") }
func (l Layout) lease() string     { return filepath.Join(l.Dir(), "lease") }
func (l Layout) state() string     { return filepath.Join(l.Dir(), "state") }

// storeFirst is how long an agent that begins waits for the graph that the store has now.
const storeFirst = 2 * time.Second

// AgentOptions are those of a host's agent.
type AgentOptions struct {
	Kinds    engine.Kinds
	Version  string
	Services Services         // keeps the host's store running; the layout's if nil
	Now      func() time.Time // time.Now if nil
}

// RunAgent keeps the host as its graph in the store says, or did when last heard of, until ctx is
// done. It takes the host over from an agent of a session.
func RunAgent(ctx context.Context, l Layout, o AgentOptions) error {
	if o.Services == nil {
		o.Services = l.Services()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &hostAgent{AgentOptions: o, layout: l}
	if err := a.load(); err != nil {
		return fmt.Errorf("run agent: %w", err)
	}
	records := openRecords(l)
	defer records.close()
	begin, refused := a.lastGraph()
	err := agent.Reside(ctx, agent.Residency{
		Options: agent.Options{
			Manifest: begin, Kinds: o.Kinds, Host: a.config.Host, Dir: l.state(), StoreFirst: storeFirst,
			Prepare: a.prepare, Applied: a.applied, Noop: a.config.Noop, Timeout: -1, Version: o.Version,
		},
		Home: l.Dir(), Cluster: a.config.Name, Digest: a.digest, Redactor: &a.redactor, LogLevel: a.level(),
		Last: records.last, Record: records.write,
		Dial: func(ctx context.Context, log *slog.Logger, predecessor int64) (*etcd.Client, error) {
			if refused != nil {
				log.Error("the last graph cannot be begun with; waiting for the store", "err", refused)
			}
			return a.dial(ctx, log, predecessor)
		},
		Beside: a.beside,
	})
	if err != nil {
		return fmt.Errorf("run agent: %w", err)
	}
	return nil
}

// A hostAgent is the agent of a host of a detached fleet.
type hostAgent struct {
	AgentOptions
	layout    Layout
	config    Config
	identity  string
	recipient string
	digest    string // of the binary
	wallet    *wallet
	redactor  secret.Redactor
	keeper    graphKeeper

	log    *slog.Logger
	client *etcd.Client
}

// load reads what the host was given when it joined.
func (a *hostAgent) load() (err error) {
	if err := readJSON(a.layout.config(), &a.config); err != nil {
		return err
	}
	identity, err := os.ReadFile(a.layout.identity())
	if err != nil {
		return err
	}
	a.identity = strings.TrimSpace(string(identity))
	if a.recipient, err = secret.RecipientOf(a.identity); err != nil {
		return err
	}
	if a.wallet, err = openWallet(a.layout.credentials()); err != nil {
		return err
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	if a.digest, err = digestOf(binary); err != nil {
		return err
	}
	return errors.Join(makeDir(a.layout.state()), makeDir(a.layout.trees()))
}

func (a *hostAgent) level() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(a.config.LogLevel)) != nil {
		return slog.LevelInfo
	}
	return level
}

// dial connects to the store, for which it does not wait.
func (a *hostAgent) dial(ctx context.Context, log *slog.Logger, predecessor int64) (*etcd.Client, error) {
	a.log, a.keeper.log = log, log
	if predecessor == 0 {
		if err := readJSON(a.layout.lease(), &predecessor); err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("what the last agent exported may stay for half a minute", "err", err)
		}
	}
	var err error
	a.client, err = etcd.Dial(ctx, etcd.Options{
		Endpoints: a.layout.knownEndpoints(a.config), Credentials: a.wallet.credentials(), Certificate: a.wallet.certificate,
		Host: a.config.Host, Predecessor: predecessor, Log: log,
	})
	return a.client, err
}

// knownEndpoints are where the store was last: those of others in random order, so that not all hosts
// go to the same, behind the host's own.
func (l Layout) knownEndpoints(c Config) []string {
	var known []string
	if err := readJSON(l.endpoints(), &known); err != nil || len(known) == 0 {
		known = slices.Clone(c.Endpoints)
	}
	rand.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
	_, own, err := etcd.URLs(c.Peer)
	if err != nil {
		return known
	}
	if serves, _ := l.storeState(); serves != "" || len(known) == 0 {
		known = append([]string{own}, slices.DeleteFunc(known, func(u string) bool { return u == own })...)
	}
	return known
}

// beside is what the agent does beside keeping the graph.
func (a *hostAgent) beside(ctx context.Context) error {
	tasks, ctx := errgroup.WithContext(ctx)
	for _, task := range []func(context.Context){
		a.tellFacts, a.keepLease, a.followEndpoints, a.followOrder, a.followCertificate, a.renewCertificate,
	} {
		tasks.Go(func() error { task(ctx); return nil })
	}
	return tasks.Wait()
}

func (a *hostAgent) tellFacts(ctx context.Context) {
	f := etcd.Facts{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Version: a.Version,
		Resident: true, Digest: a.digest, Peer: a.config.Peer, Recipient: a.recipient,
	}
	if err := a.client.PutFacts(ctx, f); err != nil && ctx.Err() == nil {
		a.log.Debug("tell facts: will be tried again", "err", err) // by the client
	}
	a.saveLease()
}

// leasePoll is how often to look whether the store has given the client another lease.
const leasePoll = 5 * time.Second

// keepLease keeps the number of the lease for the next agent.
func (a *hostAgent) keepLease(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, leasePoll)
		a.saveLease()
	}
}

func (a *hostAgent) saveLease() {
	var saved int64
	now := a.client.Lease()
	if readJSON(a.layout.lease(), &saved) == nil && saved == now || now == 0 {
		return
	}
	if err := writeJSON(a.layout.lease(), now); err != nil {
		a.log.Debug("save lease", "err", err)
	}
}

// pause waits, unless ctx is done.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// emptyGraph is that of a host which has never had one.
func emptyGraph(kinds engine.Kinds) (*manifest.Manifest, error) {
	return manifest.Parse("graph.yaml", []byte("resources: {}\n"), manifest.Options{Kinds: kinds})
}
