package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"spore/etcd"
	"spore/internal/lab"
)

// TestStranger tries, as another user of the host, to get at what the agent has.
func TestStranger(t *testing.T) {
	s := play(t, 1)
	h := s.hosts[0]
	s.env = []string{"SPORE_TOKEN=for root alone"}
	p := s.start("--remote", s.save("a.yaml", "remote: "+h.Name+`
resources:
  file:
  - name: /srv/token
    content: secret://env/SPORE_TOKEN
    mode: "0600"
`))
	p.converged()
	dir := strings.TrimSpace(s.on(h, "sh", "-c", "echo /var/lib/spore/run-*"))
	tries := map[string][]string{
		"see what is in the directory": {"ls", dir},
		"read the secrets":             {"cat", dir + "/secrets.json"},
		"read the graph":               {"cat", dir + "/graph/a.yaml"},
		"reach the store":              connect(dir + "/store.sock"),
		"reach the agent":              connect(dir + "/agent.sock"),
		"read the agent's environment": {"cat", "/proc/" + s.agent(h) + "/environ"},
		"read the agent's memory":      {"head", "-c0", "/proc/" + s.agent(h) + "/mem"},
	}
	for what, argv := range tries {
		if _, err := h.Run(t.Context(), argv...); err != nil {
			t.Errorf("root cannot %s, which shows nothing of others: %v", what, err)
		} else if out, err := h.Run(t.Context(), append(nobody, argv...)...); err == nil {
			t.Errorf("nobody may %s: %s", what, out)
		}
	}
	p.stop()
}

var nobody = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}

// connect is a command that connects to a Unix socket.
func connect(path string) []string {
	return []string{"perl", "-MSocket", "-e", `socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S, sockaddr_un($ARGV[0])) or die $!`, path}
}

// TestNoDump has an agent that is not root: nobody's debugger gets to it, nor does a core dump.
func TestNoDump(t *testing.T) {
	s := play(t, 1, "/etc/", "/home", "/var/mail", "/var/spool/mail")
	h := s.hosts[0]
	if err := h.AddUser(t.Context(), "robin", "a password"); err != nil {
		t.Fatal(err)
	}
	p := s.start("--remote", s.save("user.yaml", "remote: robin@"+h.Name+`
resources:
  exec:
  - {name: alive, cmd: "true", watchcmd: sleep 54321}
`))
	p.converged()
	// The kernel gives what /proc shows of a process that cannot be dumped to root.
	if got := s.on(h, "stat", "-c", "%U", "/proc/"+s.agent(h)+"/environ"); got != "root\n" {
		t.Errorf("the agent can be dumped: its environ belongs to %s", got)
	}
	command := strings.TrimSpace(s.on(h, "pgrep", "-f", "^sleep 54321"))
	if got := s.on(h, "stat", "-c", "%U", "/proc/"+command+"/environ"); got != "robin\n" {
		t.Errorf("a command that the agent starts cannot be dumped: its environ belongs to %s", got)
	}
	p.stop()
	s.on(h, "sh", "-c", "userdel -r robin 2>/dev/null; id robin 2>/dev/null || true")
}

// stolen are the credentials of a host, found in its agent's memory as root on the host can.
func (s *scene) stolen(h *lab.Host) (c etcd.Credentials) {
	s.Helper()
	const search = `
my ($pid) = @ARGV;
open(my $maps, "<", "/proc/$pid/maps") or die $!;
open(my $mem, "<:raw", "/proc/$pid/mem") or die $!;
while (<$maps>) {
	/^(\w+)-(\w+) rw/ or next;
	my ($from, $size) = (hex($1), hex($2) - hex($1));
	sysseek($mem, $from, 0) && sysread($mem, my $text, $size) or next;
	if ($text =~ /(\{"host":"[^}]*"key":"[^"]*"\})/) { print $1; exit }
}
die "nothing is found";
`
	text := s.on(h, "perl", "-we", `no warnings "portable"; `+search, s.agent(h))
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		s.Fatal(err)
	}
	return c
}

// TestStolenCredentials takes a host's credentials and tries to do with them what only others may.
func TestStolenCredentials(t *testing.T) {
	s := play(t, 2)
	a, b := s.hosts[0], s.hosts[1]
	p := s.start(s.pair("hello")...)
	p.converged()
	thief, ctx := s.thief(b), t.Context()
	exports, err := thief.Get(ctx, "/spore/exports/file/", clientv3.WithPrefix())
	if err != nil || len(exports.Kvs) != 2 {
		t.Fatalf("what it collects: %v, %v", exports, err)
	}
	others := exports.Kvs[0]
	if !bytes.Contains(others.Key, []byte("/"+a.Name+"/")) {
		others = exports.Kvs[1]
	}
	lease := clientv3.LeaseID(others.Lease)
	put := func(key string) error { _, err := thief.Put(ctx, key, "{}"); return err }
	get := func(key string) error { _, err := thief.Get(ctx, key); return err }
	for what, err := range map[string]error{
		"write another's graph":   put("/spore/graphs/" + a.Name),
		"write its own graph":     put("/spore/graphs/" + b.Name),
		"read another's graph":    get("/spore/graphs/" + a.Name),
		"write another's export":  put(string(others.Key)),
		"write another's report":  put("/spore/hosts/" + a.Name + "/report"),
		"read another's report":   get("/spore/hosts/" + a.Name + "/report"),
		"read another's secret":   get("/spore/kv/secret"),
		"read everything":         second(thief.Get(ctx, "/", clientv3.WithPrefix())),
		"revoke another's lease":  second(thief.Revoke(ctx, lease)),
		"prolong another's lease": second(thief.KeepAliveOnce(ctx, lease)),
		"look at another's lease": second(thief.TimeToLive(ctx, lease, clientv3.WithAttachedKeys())),
		"list leases":             second(thief.Leases(ctx)),
		"list members":            second(thief.MemberList(ctx)),
		"add a member":            second(thief.MemberAdd(ctx, []string{"http://127.0.0.1:1"})),
		"add a user":              second(thief.UserAdd(ctx, "thief", "x")),
		"list users":              second(thief.UserList(ctx)),
		"disable authentication":  second(thief.AuthDisable(ctx)),
		"look at the status":      second(thief.Status(ctx, thief.Endpoints()[0])),
	} {
		if !errors.Is(err, rpctypes.ErrPermissionDenied) {
			t.Errorf("%s: got %v, want permission denied", what, err)
		}
	}
	s.exchanged("hello")
	p.stop()
}

// thief is etcd's own client with the credentials of a host, at the socket that the host has.
func (s *scene) thief(h *lab.Host) *clientv3.Client {
	s.Helper()
	c := s.stolen(h)
	if c.Host != h.Name || len(c.Key) == 0 {
		s.Fatalf("not the credentials of host %s: %v", h.Name, c)
	}
	config, err := c.TLS()
	if err != nil {
		s.Fatal(err)
	}
	socket := filepath.Join(s.graphs, "store.sock") // short
	path := strings.TrimSpace(s.on(h, "sh", "-c", "echo /var/lib/spore/run-*/store.sock"))
	if err := os.Symlink(filepath.Join(h.Root(), path), socket); err != nil {
		s.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"https://" + c.Server}, TLS: config,
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		})},
	})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { client.Close() })
	return client
}

func second[T any](_ T, err error) error { return err }
