package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"spore/internal/sshtest"
)

// sshHosts NAME... starts an SSH server for each name, which ends with the script; one with a
// ! in front is a host where nobody listens. It sets $SSH to the ssh_config that leads to them,
// $HOSTS to the directory in which each has its home, and makes spore a binary that hosts can run.
func sshHosts(ts *testscript.TestScript, build func() (string, error), names []string) {
	built, err := build()
	ts.Check(err)
	ts.Setenv("PATH", built+string(os.PathListSeparator)+ts.Getenv("PATH"))
	dir, err := os.MkdirTemp("", "spore") // short: there will be sockets in it
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	key, err := writeKey(filepath.Join(dir, "key"))
	ts.Check(err)
	var config, known strings.Builder
	for _, name := range names {
		name, dead := strings.CutPrefix(name, "!")
		home := filepath.Join(dir, name)
		ts.Check(os.MkdirAll(filepath.Join(home, "srv"), 0o700))
		s, err := sshtest.Start(sshtest.Options{Dir: home, AuthorizedKeys: []ssh.PublicKey{key}})
		ts.Check(err)
		if dead {
			ts.Check(s.Close())
		} else {
			ts.Defer(func() { s.Close() })
		}
		_, port, err := net.SplitHostPort(s.Addr())
		ts.Check(err)
		fmt.Fprintf(&config, `Host %[1]s
  HostName 127.0.0.1
  Port %[2]s
  IdentityFile %[3]s/key
  IdentitiesOnly yes
  UserKnownHostsFile %[3]s/known_hosts
`, name, port, dir)
		known.WriteString(s.KnownHostsLine())
	}
	ts.Check(os.WriteFile(filepath.Join(dir, "ssh_config"), []byte(config.String()), 0o600))
	ts.Check(os.WriteFile(filepath.Join(dir, "known_hosts"), []byte(known.String()), 0o600))
	ts.Setenv("HOSTS", dir)
	ts.Setenv("SSH", filepath.Join(dir, "ssh_config"))
}

func writeKey(path string) (ssh.PublicKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		return nil, err
	}
	return signer.PublicKey(), os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}
