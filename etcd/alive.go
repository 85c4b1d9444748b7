package etcd

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"
)

// aliveTimeout is how long a member may take to say that it runs.
const aliveTimeout = 2 * time.Second

// Alive asks the member at peer, host:port, whether it runs, in the way in which members speak to each
// other. One that has just come up votes, and says so, for some seconds before it serves clients.
func (a *Authority) Alive(ctx context.Context, peer string) error {
	if err := a.alive(ctx, peer); err != nil {
		return fmt.Errorf("ask the member at %s whether it runs: %w", peer, err)
	}
	return nil
}

func (a *Authority) alive(ctx context.Context, peer string) error {
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	cert, key, err := a.peer()
	if err != nil {
		return err
	}
	config, err := Credentials{Server: peerName, CA: a.pem, Cert: cert, Key: key}.TLS()
	if err != nil {
		return err
	}
	config.MinVersion = tls.VersionTLS13
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+peer+"/version", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", answer.Status)
	}
	return nil
}
