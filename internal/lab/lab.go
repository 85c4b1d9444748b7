package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Options shape a lab. The zero value is a lab of full hosts that reach each other.
type Options struct {
	Name     string // directory under /run/spore-lab; "" picks a free one
	Light    bool   // OpenSSH without systemd: cheap enough for hundreds of hosts
	Isolated bool   // hosts and the machine reach each other, hosts among themselves do not
	Logind   bool   // logins are systemd sessions, with /run/user/UID that ends with the last of them
	// Volumes are directories of every host that are file systems of their own, with their sizes as
	// mkfs takes them, such as "512m". They outlive crashes and reboots, and FillDisk can fill them.
	Volumes map[string]string
	Log     *slog.Logger // progress; nil means slog.Default()
}

// A Lab is a set of running hosts on a network of their own.
type Lab struct {
	Name       string
	Dir        string // keys, ssh_config, consoles
	Key        string // path of the private key that every host accepts for root
	KnownHosts string // path of a known_hosts file with every host's keys
	Hosts      []*Host

	state  *state
	log    *slog.Logger
	ctx    context.Context // ends when the lab closes
	cancel context.CancelFunc
	lock   *os.File
	close  func() error
}

// SSHConfig is the path of a file for ssh -F in which each host goes by its name and its address.
func (l *Lab) SSHConfig() string { return filepath.Join(l.Dir, "ssh_config") }

// Host returns the host of that name, or nil.
func (l *Lab) Host(name string) *Host {
	for _, h := range l.Hosts {
		if h.Name == name {
			return h
		}
	}
	return nil
}

var nameRule = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// Up starts n hosts, named a, b, c … z, h26, h27 …, and returns when all of them serve SSH and
// have finished booting. The lab ends with Close, or when ctx is done.
func Up(ctx context.Context, n int, opts Options) (*Lab, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	if n < 1 || n > 250 {
		return nil, fmt.Errorf("start lab: %d hosts asked for, between 1 and 250 can be had", n)
	}
	if opts.Name != "" && !nameRule.MatchString(opts.Name) {
		return nil, fmt.Errorf("start lab: name %q: use lower-case letters, digits and dashes", opts.Name)
	}
	if opts.Light && opts.Logind {
		return nil, errors.New("start lab: light hosts have no systemd and so no sessions of it")
	}
	log := opts.Log
	if log == nil {
		log = slog.Default()
	}
	image, err := Image(ctx, log)
	if err != nil {
		return nil, err
	}
	s := &state{
		Name: opts.Name, Hosts: hostNames(n), Light: opts.Light, Isolated: opts.Isolated,
		Volumes: volumes(opts.Volumes), Password: rand.Text(), Cgroups: cgroupParents(), Owner: identify(os.Getpid()),
	}
	lock, err := claim(ctx, log, s)
	if err != nil {
		return nil, err
	}
	l := open(s, log)
	l.lock = lock
	l.close = sync.OnceValue(l.shut)
	if err := l.start(ctx, image, opts); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	context.AfterFunc(ctx, func() {
		if err := l.Close(); err != nil {
			log.Error("lab: close", "lab", l.Name, "error", err)
		}
	})
	return l, nil
}

func (l *Lab) start(ctx context.Context, image string, opts Options) error {
	if err := raiseInotify(len(l.Hosts)); err != nil {
		return err
	}
	if err := l.populate(ctx, image, opts.Logind); err != nil {
		return fmt.Errorf("prepare hosts: %w", err)
	}
	if err := l.connect(ctx); err != nil {
		return fmt.Errorf("connect hosts: %w", err)
	}
	return each(ctx, len(l.Hosts), func(ctx context.Context, i int) error {
		return l.Hosts[i].Start(ctx)
	})
}

// connect takes turns with other labs: ip netns add is not safe against itself.
func (l *Lab) connect(ctx context.Context) error {
	unlock, err := lockAll(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return l.state.Subnet.connect(ctx, l.state.Hosts, l.state.Isolated)
}

// open makes the handle of a lab from its state.
func open(s *state, log *slog.Logger) *Lab {
	l := &Lab{
		Name: s.Name, Dir: s.dir(), state: s, log: log,
		Key: filepath.Join(s.dir(), "id_ed25519"), KnownHosts: filepath.Join(s.dir(), "known_hosts"),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	for i, name := range s.Hosts {
		l.Hosts = append(l.Hosts, &Host{
			Name: name, Addr: s.Subnet.addr4(i + 2), Addr6: s.Subnet.addr6(i + 2),
			Password: s.Password, lab: l, index: i,
		})
	}
	return l
}

// Close ends the hosts and removes all that the lab made but the cached image. Calling it again
// returns the first call's result.
func (l *Lab) Close() error { return l.close() }

func (l *Lab) shut() error {
	l.cancel()
	ctx := context.Background()
	for _, h := range l.Hosts {
		unlock, err := h.exclusive(ctx) // whoever is starting it has seen the cancellation
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		defer unlock()
	}
	unlock, err := lockAll(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	defer l.lock.Close()
	if err := l.state.destroy(ctx); err != nil {
		return fmt.Errorf("close lab %s: %w", l.Name, err)
	}
	return nil
}

func hostNames(n int) []string {
	var out []string
	for i := range n {
		if i < 26 {
			out = append(out, string(rune('a'+i)))
		} else {
			out = append(out, "h"+strconv.Itoa(i))
		}
	}
	return out
}

// each calls fn for 0 … n-1, a few at a time, and returns the first error.
func each(ctx context.Context, n int, fn func(context.Context, int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range n {
		g.Go(func() error { return fn(ctx, i) })
	}
	return g.Wait()
}
