package resident

import (
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"testing"
	"time"

	"spore/etcd"
)

func TestCertificateIsRenewed(t *testing.T) {
	p := newPlot(t)
	p.clock = time.Now().Add(61 * 24 * time.Hour)
	var before etcd.Credentials
	p.must(readJSON(p.Layout.credentials(), &before))
	r := p.start()
	var request []byte
	p.await("it asks for a certificate", func() bool {
		all, err := p.store.Requests(p.Context())
		request = all["h"]
		return err == nil && len(request) > 0
	})
	// It lasts longer than the one before once a second has passed.
	sign := func() []byte {
		cert, err := p.server.Authority().Sign("h", request)
		p.must(err)
		return cert
	}
	p.await("a certificate lasts longer", func() bool { return leaf(t, sign()).NotAfter.After(leaf(t, before.Cert).NotAfter) })
	p.must(p.store.PutCertificate(p.Context(), "h", sign()))
	var after etcd.Credentials
	p.await("it is saved", func() bool {
		return readJSON(p.Layout.credentials(), &after) == nil && string(after.Cert) != string(before.Cert)
	})
	if string(after.Key) != string(before.Key) || string(after.CA) != string(before.CA) {
		t.Error("more than the certificate was replaced")
	}
	r.end()
	p.put(p.file("out", "one"))
	p.start()
	p.converged()
}

func leaf(t *testing.T, cert []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(cert)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newWallet(t *testing.T) (*wallet, *etcd.Authority) {
	t.Helper()
	a, err := etcd.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Host("h")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "credentials.json")
	if err := writeJSON(path, c); err != nil {
		t.Fatal(err)
	}
	w, err := openWallet(path)
	if err != nil {
		t.Fatal(err)
	}
	return w, a
}

func TestWhenACertificateIsDue(t *testing.T) {
	w, _ := newWallet(t)
	begin := w.pair.Leaf.NotBefore
	for age, want := range map[time.Duration]bool{0: false, renewalAge - time.Minute: false, renewalAge: true, 1000 * 24 * time.Hour: true} {
		if got := w.due(begin.Add(age)); got != want {
			t.Errorf("after %v: due is %v", age, got)
		}
	}
	w.pair.Leaf.NotAfter = begin.Add(30 * time.Hour)
	if w.due(begin.Add(9*time.Hour)) || !w.due(begin.Add(10*time.Hour)) {
		t.Error("one that lasts 30 hours is not due after 10")
	}
}

func TestWrongCertificatesAreRefused(t *testing.T) {
	w, a := newWallet(t)
	request, err := w.request()
	if err != nil {
		t.Fatal(err)
	}
	other, foreign := newWallet(t)
	foreignRequest, err := other.request()
	if err != nil {
		t.Fatal(err)
	}
	w.pair.Leaf.NotAfter = w.pair.Leaf.NotAfter.Add(-time.Hour) // so that all last longer
	sign := func(a *etcd.Authority, host string, request []byte) []byte {
		cert, err := a.Sign(host, request)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	good := sign(a, "h", request)
	far := leaf(t, good).NotAfter.Add(time.Hour)
	for name, try := range map[string]struct {
		cert []byte
		now  time.Time
	}{
		"nonsense":          {[]byte("nonsense"), time.Now()},
		"another key":       {sign(a, "h", foreignRequest), time.Now()},
		"another authority": {sign(foreign, "h", request), time.Now()},
		"another host":      {sign(a, "i", request), time.Now()},
		"too old":           {good, far},
	} {
		if renewed, err := w.renew(try.cert, try.now); err == nil || renewed {
			t.Errorf("%s: taken (%v)", name, err)
		}
	}
	before := w.credentials()
	if renewed, err := w.renew(good, time.Now()); err != nil || !renewed {
		t.Fatalf("the right one is refused: %v", err)
	}
	if renewed, err := w.renew(before.Cert, time.Now()); err != nil || renewed {
		t.Errorf("the old one came back (%v)", err)
	}
	again, err := openWallet(w.path)
	if err != nil || string(again.has.Cert) != string(good) {
		t.Errorf("the new one is not on disk: %v", err)
	}
	if c, err := w.certificate(); err != nil || !c.Leaf.Equal(leaf(t, good)) {
		t.Errorf("the new one is not in use: %v", err)
	}
}
