package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// services are the methods, by their full names, of all that an etcd serves or might come to.
func services() map[string]protoreflect.MethodDescriptor {
	methods := make(map[string]protoreflect.MethodDescriptor)
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				methods["/"+string(service.FullName())+"/"+string(m.Name())] = m
			}
		}
		return true
	})
	return methods
}

// Of all methods that etcd has, hosts may call those that they need.
func TestHostsMayCallLittle(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := raw(t, admit(t, s, "b", Grants{}))
	if _, err := b.Get(t.Context(), syncKey); err != nil {
		t.Fatal(err)
	}
	conn, methods := b.ActiveConnection(), services()
	for _, name := range []string{"/etcdserverpb.Maintenance/Snapshot", "/v3lockpb.Lock/Lock", "/v3electionpb.Election/Observe", "/grpc.health.v1.Health/Watch"} {
		if methods[name] == nil {
			t.Fatalf("%s is not among the %d methods", name, len(methods))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for name, m := range methods {
		if open[name] {
			continue
		}
		// No message is empty of these, and none is needed to be turned away.
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: m.IsStreamingClient()}, name)
		if err == nil {
			_ = stream.SendMsg(new(etcdserverpb.AuthStatusRequest))
			err = stream.RecvMsg(new(etcdserverpb.AuthStatusResponse))
		}
		if code := status.Code(err); code != codes.PermissionDenied && code != codes.Unimplemented {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// What a host may not do it may not do by halves either: wherever in a transaction it stands, whether
// or not its turn comes, and however the keys are described.
func TestThereIsNoWayRoundRights(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	if _, err := openStore(t, s).PutGraph(t.Context(), "a", Graph{Text: "secret"}); err != nil {
		t.Fatal(err)
	}
	b := raw(t, admit(t, s, "b", Grants{Exports: []string{"file"}, Keys: []string{"k"}}))
	mine, theirs := valueKey("k"), graphKey("a")
	always := clientv3.Compare(clientv3.CreateRevision(mine), ">", -1)
	var ops []clientv3.Op
	for _, forbidden := range []clientv3.Op{
		clientv3.OpGet(theirs), clientv3.OpPut(theirs, ""), clientv3.OpDelete(theirs),
		clientv3.OpGet(theirs, clientv3.WithCountOnly()),
		clientv3.OpGet(theirs, clientv3.WithSerializable(), clientv3.WithKeysOnly()),
		clientv3.OpGet(theirs, clientv3.WithRev(1)),
		clientv3.OpGet("", clientv3.WithPrefix(), clientv3.WithLimit(1)),
		clientv3.OpGet("\x00", clientv3.WithFromKey()),
		clientv3.OpGet(mine, clientv3.WithFromKey()),
		clientv3.OpGet(graphKey("b"), clientv3.WithPrefix()), // those of bc too
		clientv3.OpGet(graphsPrefix, clientv3.WithRange(graphKey("b")+"\x00")),
		clientv3.OpGet(hostPrefix("b"), clientv3.WithRange(hostPrefix("c"))),
		clientv3.OpDelete(mine, clientv3.WithRange(mine+"1")),
		clientv3.OpDelete("", clientv3.WithPrefix(), clientv3.WithPrevKV()),
		clientv3.OpPut(exportKey("file", "b", "")[:len(exportPrefix("file", "b"))-1], ""),
	} {
		inner := clientv3.OpTxn(nil, nil, []clientv3.Op{forbidden})
		ops = append(ops, forbidden,
			clientv3.OpTxn([]clientv3.Cmp{always}, nil, []clientv3.Op{forbidden}),
			clientv3.OpTxn([]clientv3.Cmp{always}, []clientv3.Op{clientv3.OpGet(mine), inner}, nil))
	}
	ops = append(ops, // which would tell what is there
		clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.Value(theirs), ">", "s")}, nil, nil),
		clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(prefix), ">", 0).WithPrefix()}, nil, nil))
	for i, op := range ops {
		if _, err := b.Do(t.Context(), op); !denied(err) {
			t.Errorf("operation %d, %+v: got %v, want permission denied", i, op, err)
		}
	}
	g, _, err := openStore(t, s).Graph(t.Context(), "a")
	if err != nil || g.Text != "secret" {
		t.Errorf("a's graph is %+v, %v", g, err)
	}
}

// TestForgedCertificatesAreRefused knocks at the doors of a store, and at those of a member, with what
// is almost a certificate.
func TestForgedCertificatesAreRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ca := s.Authority()
	forged := map[string]Credentials{"nobody's": {}}
	for what, template := range map[string]*x509.Certificate{"a server's": serverTemplate(), "expired": clientTemplate(adminName), "of tomorrow": clientTemplate(adminName)} {
		a := *ca
		switch what {
		case "expired":
			a.now = func() time.Time { return time.Now().Add(-2 * holderLifetime) }
		case "of tomorrow":
			a.now = func() time.Time { return time.Now().Add(clockSkew + time.Hour) }
		}
		cert, key, err := a.issue(template, holderLifetime)
		if err != nil {
			t.Fatal(err)
		}
		forged[what] = Credentials{Cert: cert, Key: key}
	}
	host, err := ca.Host("b")
	if err != nil {
		t.Fatal(err)
	}
	forged["signed by a host"] = signedBy(t, host)

	at := func(network, address, speaks string) {
		t.Helper()
		if err := knock(t, ca, host, network, address, speaks, tls.VersionTLS13); err != nil {
			t.Errorf("%s: a host with its certificate: %v", address, err)
		}
		if knock(t, ca, host, network, address, speaks, tls.VersionTLS12) == nil {
			t.Errorf("%s: it speaks TLS 1.2", address)
		}
		for what, c := range forged {
			if knock(t, ca, c, network, address, speaks, tls.VersionTLS13) == nil {
				t.Errorf("%s: a certificate that is %s was taken", address, what)
			}
		}
	}
	at("unix", strings.TrimPrefix(s.Endpoint(), "unix://"), "h2")
	at("unix", s.embedded.Config().ListenClientHttpUrls[0].Path, "http/1.1")
	o := newMember(t, "a", ca)
	m := found(t, s, o)
	_, clientURL, err := URLs(o.Peer)
	if err != nil {
		t.Fatal(err)
	}
	at("unix", strings.TrimPrefix(m.Endpoint(), "unix://"), "h2")
	at("tcp", strings.TrimPrefix(clientURL, "https://"), "h2")
	for _, page := range []string{"metrics", "version", "health", "livez", "readyz", "debug/vars", "debug/pprof/", "v3/kv/range", "v3/auth/status"} {
		if answer := browse(t, operator(t, ca), clientURL+"/"+page); answer.StatusCode < 400 {
			t.Errorf("/%s is to be had: %s", page, answer.Status)
		}
	}
}

// browse asks for a page as a browser would that has a certificate.
func browse(t *testing.T, c Credentials, url string) *http.Response {
	t.Helper()
	config, err := c.TLS()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer
}

// signedBy returns credentials of the operator that a host has signed, with the host's certificate.
func signedBy(t *testing.T, host Credentials) Credentials {
	t.Helper()
	cert, err := parseCertificate(host.Cert)
	if err != nil {
		t.Fatal(err)
	}
	key, err := decodeKey(host.Key)
	if err != nil {
		t.Fatal(err)
	}
	a := &Authority{cert: cert, key: key, now: time.Now}
	forged, forgedKey, err := a.client(adminName)
	if err != nil {
		t.Fatal(err)
	}
	return Credentials{Cert: append(forged, host.Cert...), Key: forgedKey}
}

// knock returns an error unless the store at address answers who shows c.
func knock(t *testing.T, ca *Authority, c Credentials, network, address, speaks string, version uint16) error {
	t.Helper()
	config := &tls.Config{ServerName: serverName, RootCAs: x509.NewCertPool(), MaxVersion: version, NextProtos: []string{speaks}}
	config.RootCAs.AppendCertsFromPEM(ca.Certificate())
	if c.Cert != nil {
		pair, err := tls.X509KeyPair(c.Cert, c.Key)
		if err != nil {
			t.Fatal(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Write([]byte("GET /version HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}
