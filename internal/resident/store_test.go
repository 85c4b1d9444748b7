package resident

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"spore/etcd"
)

// member makes the host a member of a store at a port that was free, with credentials for it.
func (g *ground) member(m Membership) {
	g.Helper()
	m.Peer = g.freePeer()
	g.must(os.MkdirAll(g.Store(), 0o700))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"spore"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	g.must(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	g.must(err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	g.must(os.WriteFile(filepath.Join(g.Store(), "server.crt"), certPEM, 0o600))
	g.must(os.WriteFile(filepath.Join(g.Store(), "server.key"), keyPEM, 0o600))
	g.must(writeJSON(g.credentials(), etcd.Credentials{Host: "a", Server: "spore", CA: certPEM, Cert: certPEM, Key: keyPEM}))
	g.must(writeJSON(g.membership(), m))
}

// freePeer returns an address with a port that is free, as the next one is.
func (g *ground) freePeer() string {
	g.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		g.must(err)
		port := l.Addr().(*net.TCPAddr).Port
		next, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
		l.Close()
		if err == nil {
			next.Close()
			return l.Addr().String()
		}
	}
	g.Fatal("there are no two free ports in a row")
	return ""
}

func (g *ground) storeRuns() bool {
	return upgrade{layout: g.Layout, patience: 0}.awaitStore(g.Context()) == nil
}

// signalChildren has the children of a process end.
func (g *ground) signalChildren(pid int) error {
	var failed error
	g.await("it has a child", func() bool {
		err := exec.CommandContext(g.Context(), "pkill", "-TERM", "-P", strconv.Itoa(pid)).Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			failed = err
		}
		return err == nil || failed != nil || syscall.Kill(pid, 0) != nil
	})
	return failed
}
