package dial

import (
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"spore/remote/dial/sshconfig"
)

// An environment is what all dials of one Dialer share: the configuration, parsed once, and
// everything that was read, asked or connected so far.
type environment struct {
	home, system string
	user, uid    string
	hostname     string
	getenv       func(string) string
	acceptNew    bool
	timeout      time.Duration
	slow         func(Target, string)
	log          *slog.Logger
	config       *sshconfig.Config
	warned       sync.Map // text → struct{}{}
	dawdled      sync.Map // settings.id → struct{}{}
	vault        *vault
	keys         *keyring
	agents       *agents
	trust        *trust
	hops         *hops
}

func (d *Dialer) environment() (*environment, error) {
	d.once.Do(func() { d.env, d.err = d.open() })
	return d.env, d.err
}

func (d *Dialer) open() (*environment, error) {
	e := &environment{
		home: d.Home, system: d.System, getenv: d.Getenv,
		acceptNew: d.AcceptNew, timeout: d.Timeout, slow: d.Slow, log: d.Log,
	}
	if e.system == "" {
		e.system = "/etc/ssh"
	}
	if e.getenv == nil {
		e.getenv = os.Getenv
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if err := e.identify(); err != nil {
		return nil, err
	}
	var err error
	if e.config, err = e.load(d.Config); err != nil {
		return nil, err
	}
	e.vault = newVault(d.Prompt)
	e.keys = newKeyring(e.vault)
	e.agents = newAgents()
	e.trust = newTrust(e.log)
	e.hops = newHops()
	return e, nil
}

// identify learns who runs this. A user unknown to the system, as in some containers, is told
// by its number.
func (e *environment) identify() error {
	e.uid = strconv.Itoa(os.Getuid())
	e.user = e.uid
	if e.home == "" {
		e.home = e.getenv("HOME")
	}
	if u, err := user.Current(); err == nil {
		e.user, e.uid = u.Username, u.Uid
		if e.home == "" {
			e.home = u.HomeDir
		}
	}
	if e.home == "" {
		return fmt.Errorf("find the home directory: the user %s has none: set HOME", e.uid)
	}
	var err error
	if e.hostname, err = os.Hostname(); err != nil {
		return fmt.Errorf("learn this machine's name: %w", err)
	}
	return nil
}

func (e *environment) load(path string) (*sshconfig.Config, error) {
	ssh := filepath.Join(e.home, ".ssh")
	switch path {
	case "none":
		return sshconfig.Load(e.home)
	case "":
		return sshconfig.Load(e.home,
			sshconfig.Source{Path: filepath.Join(ssh, "config"), Dir: ssh, Optional: true, Private: true},
			sshconfig.Source{Path: filepath.Join(e.system, "ssh_config"), Dir: e.system, Optional: true})
	}
	return sshconfig.Load(e.home, sshconfig.Source{Path: path, Dir: ssh})
}

// resolve gives the settings for t and warns, once each, of lines that are not honoured.
func (e *environment) resolve(t Target) (*settings, error) {
	cfg := e.config.Resolve(sshconfig.Query{Host: t.Host, User: t.User, LocalUser: e.user})
	s, err := e.settings(t, cfg)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings(cfg) {
		e.warnOnce(w)
	}
	return s, nil
}

func (e *environment) warnOnce(text string) {
	if _, before := e.warned.LoadOrStore(text, struct{}{}); !before {
		e.log.Warn(text)
	}
}

const slowAfter = 3 * time.Second

func (e *environment) slowOnce(s *settings) {
	if _, before := e.dawdled.LoadOrStore(s.id(), struct{}{}); !before && e.slow != nil {
		e.slow(s.target, s.addr())
	}
}
