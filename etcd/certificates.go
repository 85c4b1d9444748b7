package etcd

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Requests returns the requests for certificates, PEM, by host: what the hosts wrote, which may be
// anything.
func (s *Store) Requests(ctx context.Context) (map[string][]byte, error) {
	all, err := s.get(ctx, span{hostsPrefix, true}, clientv3.WithKeysOnly())
	if err != nil {
		return nil, fmt.Errorf("get requests for certificates: %w", err)
	}
	requests := make(map[string][]byte)
	for _, kv := range all.Kvs {
		segments, ok := splitKey(string(kv.Key), hostsPrefix, 2)
		if !ok || segments[1] != "request" {
			continue
		}
		request, err := s.get(ctx, span{key: requestKey(segments[0])})
		if err != nil {
			return nil, fmt.Errorf("get request of %s for a certificate: %w", segments[0], err)
		}
		if len(request.Kvs) > 0 {
			requests[segments[0]] = request.Kvs[0].Value
		}
	}
	return requests, nil
}

// PutCertificate hands host the certificate, PEM, that answers its request, which is done then. A
// request that is for another key stands, and nothing is written: host has asked anew since.
func (s *Store) PutCertificate(ctx context.Context, host string, certificate []byte) error {
	_, err := call(ctx, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		request, err := s.etcd.Get(ctx, requestKey(host))
		if err != nil {
			return nil, err
		}
		revision := int64(0)
		if len(request.Kvs) > 0 {
			revision = request.Kvs[0].ModRevision
			if !answers(certificate, request.Kvs[0].Value) {
				return nil, nil
			}
		}
		return s.etcd.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(requestKey(host)), "=", revision)).
			Then(clientv3.OpPut(certKey(host), string(certificate)), clientv3.OpDelete(requestKey(host))).
			Commit()
	})
	if err != nil {
		return fmt.Errorf("put certificate of %s: %w", host, err)
	}
	return nil
}

// answers says whether certificate is for the key of request, both PEM.
func answers(certificate, request []byte) bool {
	c, err := parseCertificate(certificate)
	if err != nil {
		return false
	}
	block, _ := pem.Decode(request)
	if block == nil {
		return false
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return false
	}
	key, ok := r.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(c.PublicKey)
}
