package demo

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"spore/internal/lab"
	"spore/internal/sshtest"
)

// Lab brings up real hosts: systemd and OpenSSH in containers. It takes root on Linux.
func Lab(ctx context.Context, log *slog.Logger) (*Ground, error) {
	l, err := lab.Up(ctx, 2, lab.Options{Log: log})
	if err != nil {
		return nil, err
	}
	g := &Ground{SSHConfig: l.SSHConfig(), Close: l.Close}
	for _, h := range l.Hosts {
		g.Hosts = append(g.Hosts, Host{
			Name: h.Name, Dir: "/srv",
			Read: func(path string) ([]byte, error) { return os.ReadFile(filepath.Join(h.Root(), path)) },
			Left: func() ([]string, error) { return filesBelow(h.Root(), "var/lib/spore") },
		})
	}
	return g, nil
}

// Local starts SSH servers inside the process, whose hosts are temporary directories.
func Local(context.Context, *slog.Logger) (_ *Ground, err error) {
	dir, err := os.MkdirTemp("", "spore-demo-hosts-")
	if err != nil {
		return nil, err
	}
	g := &Ground{SSHConfig: filepath.Join(dir, "ssh_config"), Prefix: filepath.Join(dir, "%h", "spore")}
	var servers []*sshtest.Server
	g.Close = func() error {
		var errs []error
		for _, s := range servers {
			errs = append(errs, s.Close())
		}
		return errors.Join(append(errs, os.RemoveAll(dir))...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
		}
	}()
	key, err := newKey(filepath.Join(dir, "key"))
	if err != nil {
		return nil, err
	}
	var config, known strings.Builder
	for _, name := range []string{"a", "b"} {
		home := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(home, "srv"), 0o700); err != nil {
			return nil, err
		}
		s, err := sshtest.Start(sshtest.Options{Dir: home, AuthorizedKeys: []ssh.PublicKey{key}})
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
		_, port, _ := net.SplitHostPort(s.Addr())
		fmt.Fprintf(&config, "Host %s\n  HostName 127.0.0.1\n  Port %s\n  IdentityFile %s/key\n  IdentitiesOnly yes\n  UserKnownHostsFile %s/known_hosts\n",
			name, port, dir, dir)
		fmt.Fprintln(&known, s.KnownHostsLine())
		g.Hosts = append(g.Hosts, Host{
			Name: name, Dir: filepath.Join(home, "srv"), Read: os.ReadFile,
			Left: func() ([]string, error) { return filesBelow(home, "spore") },
		})
	}
	return g, errors.Join(
		os.WriteFile(g.SSHConfig, []byte(config.String()), 0o600),
		os.WriteFile(filepath.Join(dir, "known_hosts"), []byte(known.String()), 0o600),
	)
}

func newKey(path string) (ssh.PublicKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "spore demo")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	return signer.PublicKey(), nil
}

// filesBelow lists what is in dir below root but for directories, as the host sees the paths.
func filesBelow(root, dir string) (all []string, err error) {
	err = filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, strings.TrimPrefix(path, root))
		}
		return err
	})
	return all, err
}
