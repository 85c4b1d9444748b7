package cluster

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"spore/etcd"
	"spore/internal/sshtest"
	"spore/remote"
	"spore/remote/dial"
)

// socketOf is the variable that makes this test binary a pipe to the socket that it names.
const socketOf = "SPORE_TEST_PIPE"

// servePipe is spore resident pipe, as far as these tests go.
func servePipe(socket string) error {
	if got := strings.Join(os.Args[1:], " "); got != "resident pipe" {
		return fmt.Errorf("called with %q", got)
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		_ = c.Close()
	}()
	_, err = io.Copy(os.Stdout, c)
	return err
}

// offer serves the store on a socket and returns its path.
func offer(t *testing.T, store *etcd.Server) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "spore")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "pipe"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			theirs, err := l.Accept()
			if err != nil {
				return
			}
			ours, err := store.Dial(t.Context())
			if err != nil {
				_ = theirs.Close()
				return
			}
			go func() { _, _ = io.Copy(ours, theirs); _ = ours.Close() }()
			go func() { _, _ = io.Copy(theirs, ours); _ = theirs.Close() }()
		}
	}()
	return l.Addr().String()
}

// The same through real SSH: log in, run the pipe, lose a host.
func TestReachBySSH(t *testing.T) {
	record := sample(t, "home")
	record.Hosts = []HostRecord{{"a", "a"}, {"b", "b"}}
	store := startStore(t, record)
	socket, dir := offer(t, store), t.TempDir()
	key := newKey(t, filepath.Join(dir, "key"))
	servers := map[string]*sshtest.Server{}
	var config, known strings.Builder
	for _, h := range record.Hosts {
		s, err := sshtest.Start(sshtest.Options{
			Dir: t.TempDir(), AuthorizedKeys: []ssh.PublicKey{key}, Env: []string{socketOf + "=" + socket}, Greeting: "welcome\n",
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		servers[h.Name] = s
		_, port, err := net.SplitHostPort(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&config, "Host %s\n  HostName 127.0.0.1\n  Port %s\n  IdentityFile %[3]s/key\n  IdentitiesOnly yes\n  UserKnownHostsFile %[3]s/known\n",
			h.Name, port, dir)
		known.WriteString(s.KnownHostsLine())
	}
	for name, text := range map[string]string{"config": config.String(), "known": known.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	d := &dial.Dialer{Config: filepath.Join(dir, "config"), Log: log, Getenv: func(string) string { return "" }}
	l := open(t, &Reacher{Record: record, Connect: SSH(d, remote.ConnOptions{}), Timeout: patience, Binary: os.Args[0], Log: log})
	revision, err := l.Store.PutGraph(bounded(t), "a", etcd.Graph{Name: "g"})
	if err != nil {
		t.Fatal(err)
	}
	first := l.Host()
	if err := servers[first].Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the store answers through the other host", func() bool {
		_, got, err := l.Store.Graph(bounded(t), "a")
		return err == nil && got == revision && l.Host() != first
	})
	members, err := l.Store.Members(bounded(t))
	if err != nil || len(members) != 1 {
		t.Fatalf("members %v (%v)", members, err)
	}
	members[0].Host = l.Host()
	q := newInquiry(l)
	defer q.close()
	if got, err := q.ask(bounded(t), members[0]); err != nil || got.ID != members[0].ID || got.Leader != got.ID || got.Size == 0 {
		t.Errorf("it stands as %+v (%v)", got, err)
	}
	members[0].ID++
	if _, err := q.ask(bounded(t), members[0]); err == nil {
		t.Error("another member answered, and it was taken for this one")
	}
}

func newKey(t *testing.T, path string) ssh.PublicKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey()
}
