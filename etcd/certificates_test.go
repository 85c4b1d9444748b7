package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
)

func TestCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	store := openStore(t, s)
	o := admit(t, s, "a", Grants{Resident: true, Keys: []string{"k"}})
	var certificate atomic.Pointer[tls.Certificate]
	use := func(cert, key []byte) {
		t.Helper()
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		certificate.Store(&pair)
	}
	use(o.Credentials.Cert, o.Credentials.Key)
	o.Credentials.Cert, o.Credentials.Key = nil, nil // are not looked at
	o.Certificate = func() (*tls.Certificate, error) { return certificate.Load(), nil }
	l := &link{server: s}
	o.Dialer = l.dial
	c := dial(t, o)
	told := newLatest[string]()
	background(t, func(ctx context.Context) error {
		return c.FollowCertificate(ctx, func(cert []byte) { told.set(string(cert)) })
	})

	csr, private := request(t)
	key, err := encodeKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RequestCertificate(t.Context(), csr); err != nil {
		t.Fatal(err)
	}
	requests, err := store.Requests(t.Context())
	if err != nil || len(requests) != 1 || string(requests["a"]) != string(csr) {
		t.Fatalf("got requests %q, %v", requests, err)
	}
	cert, err := s.Authority().Sign("a", requests["a"])
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the answer to the first may have been lost
		if err := store.PutCertificate(t.Context(), "a", cert); err != nil {
			t.Fatal(err)
		}
	}
	told.wait(t, "the certificate comes", func(got string) bool { return got == string(cert) })
	if requests, err := store.Requests(t.Context()); err != nil || len(requests) != 0 {
		t.Errorf("the request is still there: %q, %v", requests, err)
	}

	// Connections that are there stay; new ones go by the certificate of then.
	foreign, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := foreign.Host("a")
	if err != nil {
		t.Fatal(err)
	}
	use(stranger.Cert, stranger.Key)
	if err := c.Put(t.Context(), "k", new("1")); err != nil {
		t.Errorf("the connection that was there: %v", err)
	}
	waitLink(t, c, true)
	l.cut()
	waitLink(t, c, false)
	l.heal()
	ctx, cancel := context.WithTimeout(t.Context(), 10*retryPause)
	defer cancel()
	if err := c.Put(ctx, "k", new("2")); err == nil {
		t.Error("a new connection still goes by the certificate of before")
	}
	use(cert, key)
	if err := c.Put(t.Context(), "k", new("3")); err != nil {
		t.Errorf("with the new certificate: %v", err)
	}
}

// A host that asked twice is given what fits its last request, in whatever order it all happens.
func TestCertificateForAnEarlierRequest(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	c := dial(t, admit(t, s, "a", Grants{Resident: true}))
	var certs, requests [2][]byte
	for i := range certs {
		requests[i], _ = request(t)
		if err := c.RequestCertificate(t.Context(), requests[i]); err != nil {
			t.Fatal(err)
		}
		var err error
		if certs[i], err = s.Authority().Sign("a", requests[i]); err != nil {
			t.Fatal(err)
		}
	}
	held := func() string {
		t.Helper()
		found, err := s.root.Get(t.Context(), certKey("a"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found.Kvs) == 0 {
			return ""
		}
		return string(found.Kvs[0].Value)
	}
	if err := store.PutCertificate(t.Context(), "a", certs[0]); err != nil {
		t.Fatal(err)
	}
	if held() != "" {
		t.Error("the certificate for an earlier request was written")
	}
	left, err := store.Requests(t.Context())
	if err != nil || !slices.Equal(left["a"], requests[1]) {
		t.Errorf("the last request is gone: %q, %v", left, err)
	}
	if err := store.PutCertificate(t.Context(), "a", certs[1]); err != nil {
		t.Fatal(err)
	}
	if held() != string(certs[1]) {
		t.Error("the certificate for the last request was not written")
	}
}

// Without a certificate to show there is no connection, and no crash.
func TestCertificateThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	o := admit(t, s, "a", Grants{Keys: []string{"k"}})
	o.Certificate = func() (*tls.Certificate, error) { return nil, errors.New("the disk is gone") }
	ctx, cancel := context.WithTimeout(t.Context(), 5*retryPause)
	defer cancel()
	if err := dial(t, o).Put(ctx, "k", new("x")); err == nil {
		t.Error("the store took a write of nobody")
	}
}
