package lab_test

import (
	"net"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"spore/internal/lab"
)

// passwordLogin logs in with a password alone and returns the user's name as the host has it.
func passwordLogin(l *lab.Lab, h *lab.Host, user, password string) (string, error) {
	known, err := knownhosts.New(l.KnownHosts)
	if err != nil {
		return "", err
	}
	addr := net.JoinHostPort(h.Addr.String(), "22")
	client, err := gossh.Dial("tcp", addr, &gossh.ClientConfig{
		User: user, Auth: []gossh.AuthMethod{gossh.Password(password)}, Timeout: time.Minute,
		HostKeyCallback: known, HostKeyAlgorithms: []string{gossh.KeyAlgoED25519},
	})
	if err != nil {
		return "", err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	out, err := session.Output("id -un")
	return strings.TrimSpace(string(out)), err
}
