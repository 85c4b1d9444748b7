package resident

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"time"

	"spore/etcd"
)

// pipeTry bounds how long a member may take to answer before the next is tried.
const pipeTry = 2 * time.Second

// Pipe carries in and out over one connection to a member of the store that answers: the host's own,
// or any other. It ends with that connection, with in, or with ctx.
func Pipe(ctx context.Context, l Layout, in io.Reader, out io.Writer) error {
	conn, err := l.dialStore(ctx)
	if err != nil && l.idle(ctx) {
		err = fmt.Errorf("nothing of the cluster runs on this host, and spore resident start starts it: %w", err)
	}
	if err != nil {
		return fmt.Errorf("reach the store: %w", err)
	}
	defer conn.Close()
	ended := make(chan error, 2)
	go func() { _, err := io.Copy(conn, in); ended <- err }()
	go func() { _, err := io.Copy(out, conn); ended <- err }()
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	if err != nil {
		return fmt.Errorf("carry the connection to the store: %w", err)
	}
	return nil
}

// idle reports whether what was started on this host for good does not run, as after a boot where
// there is no systemd.
func (l Layout) idle(ctx context.Context) bool {
	if _, err := os.Stat(l.started()); err != nil {
		return false
	}
	running, err := l.Services().Running(ctx, AgentService)
	return err == nil && !running
}

// dialStore connects to the first member that answers.
func (l Layout) dialStore(ctx context.Context) (net.Conn, error) {
	config, err := l.tlsConfig()
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, address := range l.storeAddresses() {
		conn, err := dialMember(ctx, address, config)
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(failed) == 0 {
		return nil, errors.New("this host knows no member of it")
	}
	return nil, errors.Join(failed...)
}

// dialMember connects to the member at address if it is alive: one that hangs takes connections too.
func dialMember(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	try, cancel := context.WithTimeout(ctx, pipeTry)
	defer cancel()
	if config != nil {
		probe, err := (&tls.Dialer{Config: config}).DialContext(try, "tcp", address)
		if err != nil {
			return nil, err
		}
		probe.Close()
	}
	return new(net.Dialer).DialContext(try, "tcp", address)
}

// tlsConfig is that of the host's credentials; nil if it has none yet.
func (l Layout) tlsConfig() (*tls.Config, error) {
	var c etcd.Credentials
	err := readJSON(l.credentials(), &c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return c.TLS()
}

// storeAddresses are where to look for the store, in that order.
func (l Layout) storeAddresses() (addresses []string) {
	var c Config
	_ = readJSON(l.config(), &c)
	var m Membership
	if readJSON(l.membership(), &m) == nil {
		if _, own, err := etcd.URLs(m.Peer); err == nil {
			addresses = appendAddress(addresses, own)
			// Where its address is another machine's, that may not let it back in.
			if _, port, err := net.SplitHostPort(addresses[0]); err == nil {
				addresses = append(addresses, net.JoinHostPort("127.0.0.1", port))
			}
		}
		c.Peer = m.Peer
	}
	for _, u := range l.knownEndpoints(c) {
		addresses = appendAddress(addresses, u)
	}
	return addresses
}

func appendAddress(all []string, endpoint string) []string {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || slices.Contains(all, u.Host) {
		return all
	}
	return append(all, u.Host)
}
