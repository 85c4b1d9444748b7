package dial

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

// A Dialer turns Targets into authenticated connections. Its fields must not change after the
// first Dial; Dial may be called from many goroutines.
type Dialer struct {
	// Config is the ssh_config file to use in place of ~/.ssh/config and /etc/ssh/ssh_config;
	// "none" uses no file at all.
	Config string
	// AcceptNew trusts the key of a host that known_hosts does not name, and stores it. A key
	// that differs from the one stored is refused all the same.
	AcceptNew bool
	// Prompt asks for passphrases, passwords and codes; nil never asks.
	Prompt Prompter
	// Timeout bounds each attempt to connect and shake hands, not the time a person takes to
	// answer. 0 means ssh_config's ConnectTimeout, or 15 s.
	Timeout time.Duration
	// Log receives warnings; nil discards them.
	Log *slog.Logger

	Home   string              // the home directory; "" means the user's
	System string              // the system's directory of ssh_config and ssh_known_hosts; "" means /etc/ssh
	Getenv func(string) string // nil means os.Getenv
}

// A Client is a connection to one host. Closing it closes what it runs over too.
type Client struct {
	*ssh.Client
	Target Target
	Host   string // the address after ssh_config: host:port

	under func() error
}

// Close ends the connection, and the jump chain or proxy command under it once nothing else
// uses that.
func (c *Client) Close() error { return c.Client.Close() }

// Dial connects to t, verifies its host key, and logs in. It returns promptly when ctx ends.
// Errors are *UnreachableError, *HostKeyError or *AuthError, or say what is wrong with
// ssh_config.
func (d *Dialer) Dial(ctx context.Context, t Target) (*Client, error) {
	home := d.Home
	if home == "" {
		home, _ = os.UserHomeDir()
	}
	db, err := knownhosts.NewDB(filepath.Join(home, ".ssh", "known_hosts"))
	if err != nil {
		return nil, err
	}
	port := t.Port
	if port == "" {
		port = "22"
	}
	addr := net.JoinHostPort(t.Host, port)
	cfg := &ssh.ClientConfig{User: t.User, HostKeyCallback: db.HostKeyCallback(), HostKeyAlgorithms: db.HostKeyAlgorithms(addr)}
	for _, n := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		b, err := os.ReadFile(filepath.Join(home, ".ssh", n))
		if err != nil {
			continue
		}
		if s, err := ssh.ParsePrivateKey(b); err == nil {
			cfg.Auth = append(cfg.Auth, ssh.PublicKeys(s))
		}
	}
	if t.Password != "" {
		cfg.Auth = append(cfg.Auth, ssh.Password(t.Password.Reveal()))
	}
	conn, err := (&net.Dialer{Timeout: 15 * time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, &UnreachableError{Host: t.Name(), Addr: addr, Transient: true, Err: err}
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, addr, cfg)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Client{Client: ssh.NewClient(c, chans, reqs), Target: t, Host: addr}, nil
}
