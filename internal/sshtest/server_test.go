package sshtest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"spore/internal/sshtest"
)

const password = "swordfish"

// deadline bounds every wait of these tests; reaching it is a failure.
const deadline = time.Minute

func start(t *testing.T, opts sshtest.Options) *sshtest.Server {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	opts.Password = password
	s, err := sshtest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func dial(s *sshtest.Server) (*ssh.Client, error) {
	return ssh.Dial("tcp", s.Addr(), &ssh.ClientConfig{
		User:            "me",
		Auth:            []ssh.AuthMethod{ssh.Password(password)},
		HostKeyCallback: ssh.FixedHostKey(s.HostKey()),
		Timeout:         deadline,
	})
}

func client(t *testing.T, s *sshtest.Server) *ssh.Client {
	t.Helper()
	c, err := dial(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func session(t *testing.T, c *ssh.Client) *ssh.Session {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(deadline):
		t.Fatalf("%s did not happen", what)
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	c := client(t, start(t, sshtest.Options{Dir: dir, Env: []string{"WORD=x y"}, Greeting: "hello\n"}))
	s := session(t, c)
	var out, errOut bytes.Buffer
	s.Stdin, s.Stdout, s.Stderr = strings.NewReader("in"), &out, &errOut
	err := s.Run(`cat; echo " $WORD $HOME $PWD"; echo bad >&2; exit 3`)
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 3 {
		t.Errorf("error %v, want exit status 3", err)
	}
	if want := "hello\nin x y " + dir + " " + dir + "\n"; out.String() != want {
		t.Errorf("stdout %q, want %q", out.String(), want)
	}
	if errOut.String() != "bad\n" {
		t.Errorf("stderr %q, want bad", errOut.String())
	}
}

func TestSignalsBothWays(t *testing.T) {
	s := session(t, client(t, start(t, sshtest.Options{})))
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("echo ready; sleep 1000 & wait"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.Signal() != "TERM" {
		t.Errorf("error %v, want an end by SIGTERM", err)
	}
}

// A command whose connection is cut is not killed: it reads the end of its input and goes on.
func TestDropLeavesTheCommandRunning(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	srv := start(t, sshtest.Options{Dir: dir})
	c := client(t, srv)
	s := session(t, c)
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := s.Run("true"); err != nil {
		t.Fatal(err)
	}
	s = session(t, c)
	if _, err = s.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("mkfifo fifo; echo ready; cat >/dev/null; echo alive >fifo"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	srv.DropAll()
	gone := make(chan struct{})
	go func() { _ = c.Wait(); close(gone) }()
	within(t, "the client noticing the cut", gone)

	heard := make(chan struct{})
	go func() {
		if b, err := os.ReadFile(fifo); err == nil && string(b) == "alive\n" {
			close(heard)
		}
	}()
	within(t, "the command going on", heard)
}

func TestCloseEndsCommands(t *testing.T) {
	srv := start(t, sshtest.Options{})
	s := session(t, client(t, srv))
	if err := s.Start("sleep 1000"); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() { _ = srv.Close(); close(closed) }()
	within(t, "Close", closed)
}

func TestSFTP(t *testing.T) {
	dir := t.TempDir()
	c, err := sftp.NewClient(client(t, start(t, sshtest.Options{Dir: dir})))
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Create("new")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), c.PosixRename("new", filepath.Join(dir, "file"))); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(b) != "content" {
		t.Errorf("file holds %q, %v", b, err)
	}
}

func TestForwards(t *testing.T) {
	dir := t.TempDir()
	c := client(t, start(t, sshtest.Options{Dir: dir}))
	remoteTCP, err := c.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	remoteUnix, err := c.ListenUnix(socket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListenUnix(socket); err == nil {
		t.Error("a socket was bound where one was already")
	}
	if fi, err := os.Stat(socket); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v, want mode 0600", fi, err)
	}
	for name, tc := range map[string]struct {
		listener      net.Listener
		network, addr string
	}{
		"tcp":  {remoteTCP, "tcp", remoteTCP.Addr().String()},
		"unix": {remoteUnix, "unix", socket},
	} {
		t.Run(name, func(t *testing.T) {
			// The client reaches its own listener through the server: both directions at once.
			go echoOnce(tc.listener)
			peer, err := c.Dial(tc.network, tc.addr)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := peer.Write([]byte("ping")); err != nil {
				t.Fatal(err)
			}
			if err := peer.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(peer); err != nil || string(b) != "ping" {
				t.Errorf("read %q, %v, want ping", b, err)
			}
			if err := tc.listener.Close(); err != nil {
				t.Errorf("cancel the forward: %v", err)
			}
			if p, err := net.Dial(tc.network, tc.addr); err == nil {
				_ = p.Close()
				t.Error("the cancelled forward still answers")
			}
		})
	}
}

func echoOnce(l net.Listener) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	_, _ = io.Copy(c, c)
	_ = c.Close()
}

func TestForbidden(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	for name, tc := range map[string]struct {
		opts                sshtest.Options
		tcp, unix, sftpFine bool
	}{
		"nothing":          {sshtest.Options{}, true, true, true},
		"tcp":              {sshtest.Options{NoTCPForward: true}, false, false, true},
		"unix":             {sshtest.Options{NoStreamLocal: true}, true, false, true},
		"sftp":             {sshtest.Options{NoSFTP: true}, true, true, false},
		"greeting in sftp": {sshtest.Options{Greeting: "Welcome to this fine machine!\n"}, true, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			tc.opts.Dir = dir
			c := client(t, start(t, tc.opts))
			l, err := c.Listen("tcp", "127.0.0.1:0")
			check(t, "tcp forward", err, tc.tcp)
			if err == nil {
				p, err := c.Dial("tcp", l.Addr().String())
				check(t, "tcp dial", err, tc.tcp)
				_ = p.Close()
			}
			_, err = c.ListenUnix(socket)
			check(t, "unix forward", err, tc.unix)
			_ = os.Remove(socket)
			_, err = sftp.NewClient(c)
			check(t, "sftp", err, tc.sftpFine)
		})
	}
}

func check(t *testing.T, what string, err error, want bool) {
	t.Helper()
	if (err == nil) != want {
		t.Errorf("%s: error %v, want success %v", what, err, want)
	}
}

func TestMaxSessions(t *testing.T) {
	c := client(t, start(t, sshtest.Options{MaxSessions: 1}))
	first := session(t, c)
	if err := first.Start("cat"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewSession(); err == nil {
		t.Error("a second session was opened")
	}
}

func TestRefuse(t *testing.T) {
	srv := start(t, sshtest.Options{RefuseFirst: 2})
	for i, want := range []bool{false, false, true} {
		c, err := dial(srv)
		check(t, "dial "+string(rune('1'+i)), err, want)
		if err == nil {
			_ = c.Close()
		}
	}
	srv.Refuse(true)
	_, err := dial(srv)
	check(t, "dial while refusing", err, false)
	srv.Refuse(false)
	c := client(t, srv)
	if ok, _, err := c.SendRequest("keepalive@openssh.com", true, nil); ok || err != nil {
		t.Errorf("keepalive answered %v, %v; OpenSSH answers with a failure", ok, err)
	}
	if n := srv.Connections(); n != 5 {
		t.Errorf("%d connections were counted, want 5", n)
	}
}
