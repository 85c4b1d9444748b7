package etcd

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCredentialsCarryTheHost(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	// A common name is meant to have 64 characters at most; a host's name may have more.
	for _, host := range []string{"a", "root", "host:b", "ünï/cödé", strings.Repeat("long.", 50)} {
		c, err := store.Admit(t.Context(), s.Authority(), host, Grants{})
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(c.Cert)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := cert.Subject.CommonName, "host:"+host; got != want {
			t.Errorf("got common name %q, want %q", got, want)
		}
		if len(cert.DNSNames) > 0 || len(cert.IPAddresses) > 0 || cert.IsCA {
			t.Errorf("%s: the certificate can do more than be a client's", host)
		}
		o := adminOptions(s)
		o.Credentials = c
		if err := dial(t, o).PutFacts(t.Context(), Facts{OS: "linux"}); err != nil {
			t.Errorf("use the credentials of %q: %v", host, err)
		}
		again, err := store.Admit(t.Context(), s.Authority(), host, Grants{Keys: []string{"k"}})
		if err != nil || string(again.Key) != string(c.Key) || string(again.Cert) != string(c.Cert) {
			t.Errorf("admit %q again: got other credentials, or %v", host, err)
		}
	}
	if _, err := store.Admit(t.Context(), s.Authority(), "", Grants{}); err == nil {
		t.Error("a host without a name was admitted")
	}
}

func TestCredentialsDoNotPrint(t *testing.T) {
	c := Credentials{Host: "a", CA: []byte("CANARY"), Cert: []byte("CANARY"), Key: []byte("CANARY")}
	var logged strings.Builder
	for _, h := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(h).Info("m", "c", c)
	}
	text := logged.String() + fmt.Sprint(c, &c) + fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c, c)
	if strings.Contains(text, "CANARY") || strings.Contains(text, fmt.Sprint([]byte("CANARY"))) || strings.Contains(text, "0x43, 0x41") {
		t.Errorf("credentials print as %s", text)
	}
	travelled, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back Credentials
	if err := json.Unmarshal(travelled, &back); err != nil || string(back.Key) != "CANARY" {
		t.Errorf("credentials do not travel as JSON: %v", err)
	}
}

func TestCredentialsAreChecked(t *testing.T) {
	for _, c := range []Credentials{{}, {CA: []byte("x"), Cert: []byte("x"), Key: []byte("x")}} {
		if _, err := Open(t.Context(), Options{Endpoints: []string{"localhost:1"}, Credentials: c, Log: discard()}); err == nil {
			t.Error("credentials that are none were taken")
		}
	}
}

// handshake returns how a TLS connection to s with these credentials ends. In TLS 1.3 a server
// refuses a client after the client is done, so the refusal comes with the first read.
func handshake(t *testing.T, conn net.Conn, config *tls.Config) error {
	t.Helper()
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	config.NextProtos = []string{"h2"}
	c := tls.Client(conn, config)
	if err := c.Handshake(); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1)) // an HTTP/2 server speaks first
	return err
}

func TestForeignCertificatesAreRefused(t *testing.T) {
	s, other := startServer(t), startServer(t)
	own, err := s.Admin().TLS()
	if err != nil {
		t.Fatal(err)
	}
	connect := func(config *tls.Config) error {
		conn, err := s.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return handshake(t, conn, config)
	}
	if err := connect(own.Clone()); err != nil {
		t.Errorf("the operator's own certificate: %v", err)
	}
	foreign := own.Clone()
	theirs, _ := other.Admin().TLS()
	foreign.GetClientCertificate = theirs.GetClientCertificate
	if err := connect(foreign); err == nil {
		t.Error("a certificate of another authority was accepted")
	}
	none := own.Clone()
	none.GetClientCertificate = nil
	if err := connect(none); err == nil {
		t.Error("no certificate was accepted")
	}
	if err := connect(theirs); err == nil {
		t.Error("the client accepted a server of another authority")
	}
	named := own.Clone()
	named.ServerName = "elsewhere"
	if err := connect(named); err == nil {
		t.Error("the client accepted a server of another name")
	}
}

// Whoever is in the same network can reach the port that members speak on, and any host holds a
// certificate.
func TestOnlyMembersReachThePeerPort(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	host, err := rootStore(s).Admit(t.Context(), s.Authority(), "a", Grants{})
	if err != nil {
		t.Fatal(err)
	}
	address := s.embedded.Peers[0].Addr().String()
	refused := func(address string) {
		t.Helper()
		for what, c := range map[string]Credentials{"a host": host, "the operator": s.Admin()} {
			config, err := c.TLS()
			if err != nil {
				t.Fatal(err)
			}
			config.ServerName = peerName
			if err := peerRequest(t, address, config); err == nil {
				t.Errorf("%s was answered", what)
			}
		}
		if err := peerRequest(t, address, peerTLS(t, startServer(t).Authority())); err == nil {
			t.Error("a member of another store was answered")
		}
		if err := peerRequest(t, address, peerTLS(t, s.Authority())); err != nil {
			t.Errorf("a member was refused: %v", err)
		}
	}
	refused(address)
	o := newMember(t, "a", s.Authority())
	found(t, s, o)
	refused(o.Peer)
}

// peerTLS is how a member with a certificate of a's speaks to others.
func peerTLS(t *testing.T, a *Authority) *tls.Config {
	t.Helper()
	cert, key, err := a.peer()
	if err != nil {
		t.Fatal(err)
	}
	config, err := Credentials{Server: peerName, CA: a.Certificate(), Cert: cert, Key: key}.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func peerRequest(t *testing.T, address string, config *tls.Config) error {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c := tls.Client(conn, config)
	if err := c.Handshake(); err != nil {
		return err
	}
	if _, err := c.Write([]byte("GET /version HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

func TestAnAuthorityIsLoaded(t *testing.T) {
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	key, err := a.Key()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadAuthority(a.Certificate(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := startServerWith(t, ServerOptions{Dir: shortDir(t), Log: discard(), NoSync: true, Authority: a})
	o := adminOptions(s)
	o.Credentials = operator(t, loaded)
	if _, err := raw(t, o).Put(t.Context(), "/k", ""); err != nil {
		t.Errorf("an operator that the loaded authority made: %v", err)
	}
	other, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	otherKey, _ := other.Key()
	leaf := operator(t, a)
	for what, pair := range map[string][2][]byte{
		"another's key":    {a.Certificate(), otherKey},
		"no key":           {a.Certificate(), nil},
		"a certificate":    {a.Certificate(), a.Certificate()},
		"no certificate":   {nil, key},
		"an operator's":    {leaf.Cert, leaf.Key},
		"not even in PEM":  {[]byte("x"), []byte("x")},
		"the wrong way up": {key, a.Certificate()},
	} {
		if _, err := LoadAuthority(pair[0], pair[1]); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

func TestHowLongCertificatesLast(t *testing.T) {
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().AddDate(3, 0, 0).Truncate(time.Second)
	a.now = func() time.Time { return now }
	host, err := a.Host("a")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := parseCertificate(host.Cert)
	if err != nil {
		t.Fatal(err)
	}
	if !cert.NotBefore.Equal(now.Add(-48*time.Hour)) || !cert.NotAfter.Equal(now.Add(180*24*time.Hour)) {
		t.Errorf("a host's is valid from %v until %v", cert.NotBefore, cert.NotAfter)
	}
	if left := time.Until(a.cert.NotAfter); left < 29*365*24*time.Hour {
		t.Errorf("the authority's own ends in %v", left)
	}
	if _, err := a.Host(""); err == nil {
		t.Error("a host without a name got one")
	}
}

// request returns what asks for a certificate, as from somebody who asks for too much.
func request(t *testing.T) (csr []byte, key ed25519.PrivateKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: adminName},
		DNSNames: []string{serverName, peerName},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), key
}

func TestOfARequestOnlyTheKeyIsTaken(t *testing.T) {
	s := startServer(t)
	csr, key := request(t)
	text, err := s.Authority().Sign("b", csr)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := parseCertificate(text)
	if err != nil {
		t.Fatal(err)
	}
	if cert.Subject.CommonName != "host:b" || len(cert.DNSNames) > 0 || cert.IsCA {
		t.Errorf("it names %v, %v", cert.Subject, cert.DNSNames)
	}
	o := admit(t, s, "b", Grants{})
	o.Credentials.Cert = text
	if o.Credentials.Key, err = encodeKey(key); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, o).PutFacts(t.Context(), Facts{}); err != nil {
		t.Errorf("use the certificate: %v", err)
	}
	forged := slices.Clone(csr)
	block, _ := pem.Decode(forged)
	block.Bytes[len(block.Bytes)-1] ^= 1 // of the signature
	for what, csr := range map[string][]byte{"nothing": nil, "a certificate": text, "a forged one": pem.EncodeToMemory(block)} {
		if _, err := s.Authority().Sign("b", csr); err == nil {
			t.Errorf("%s was signed", what)
		}
	}
	if _, err := s.Authority().Sign("", csr); err == nil {
		t.Error("a certificate for nobody was signed")
	}
}
