package dial_test

import (
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"spore/remote/dial"
)

const sshdPath = "/usr/sbin/sshd"

// sshd serves with the real OpenSSH on loopback as the current user, letting in key: one process
// a connection, as inetd does it. It returns its address and its line for known_hosts.
func sshd(t *testing.T, key ssh.PublicKey, config string) (addr, known string) {
	t.Helper()
	dir := t.TempDir()
	private, host := newPrivate(t)
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd insists on it as root
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"host":       string(pem.EncodeToMemory(block)),
		"authorized": authorizedLine(key),
		"config":     fmt.Sprintf("HostKey %s/host\nAuthorizedKeysFile %s/authorized\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n%s", dir, dir, config),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { inetd(c.(*net.TCPConn), filepath.Join(dir, "config"), &log) })
		}
	})
	t.Cleanup(func() { // the clients, closed before, end their servers
		_ = l.Close()
		wg.Wait()
		if t.Failed() {
			t.Logf("sshd: %s", log.String())
		}
	})
	return l.Addr().String(), knownhosts.Line([]string{l.Addr().String()}, host.PublicKey()) + "\n"
}

// inetd runs sshd on one connection until that ends.
func inetd(c *net.TCPConn, config string, log *syncBuffer) {
	f, err := c.File()
	_ = c.Close()
	if err != nil {
		_, _ = fmt.Fprintln(log, err)
		return
	}
	defer f.Close()
	cmd := exec.Command(sshdPath, "-i", "-e", "-f", config)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, log
	_ = cmd.Run() // its status tells no more than its log
}

func TestRealOpenSSH(t *testing.T) {
	if _, err := os.Stat(sshdPath); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI needs OpenSSH's server: ", err)
		}
		t.Skip("OpenSSH's server is not installed: ", err)
	}
	me, err := osuser.Current()
	if err != nil {
		t.Fatal(err)
	}
	u := newUser(t)
	key := u.modernSealedKey("id_ed25519", "open sesame")
	jump, jumpKnown := sshd(t, key.PublicKey(), "")
	inner, innerKnown := sshd(t, key.PublicKey(), "MaxAuthTries 2\nAllowTcpForwarding no\n")
	u.write("known_hosts", jumpKnown+innerKnown)
	_, jumpPort, _ := net.SplitHostPort(jump)
	_, innerPort, _ := net.SplitHostPort(inner)
	u.write("config", fmt.Sprintf("Host jump\n Port %s\nHost inner\n Port %s\n ProxyJump jump\nHost outer\n HostName 127.0.0.9\n ProxyJump inner\nHost *\n HostName 127.0.0.1\n User %s\n", jumpPort, innerPort, me.Username))
	p := inTurn("open sesame")
	u.dialer.Prompt = p
	u.mustDial("jump")
	u.mustDial("inner")
	if n := len(p.questions()); n != 1 {
		t.Errorf("asked %d times", n)
	}

	// A forbidden forward, a key that is refused, and too many keys, in OpenSSH's own words.
	_, err = u.dial("outer")
	wantError[*dial.UnreachableError](t, err, false, "through inner")

	v := newUser(t)
	v.write("known_hosts", innerKnown)
	v.key("id_ed25519")
	if e := v.authError(me.Username+"@"+inner, "refused"); !strings.Contains(strings.Join(e.Tried, " "), "id_ed25519") {
		t.Errorf("tried %q", e.Tried)
	}
	v.agent(5)
	v.again().authError(me.Username+"@"+inner, "allows no further attempt")
}
