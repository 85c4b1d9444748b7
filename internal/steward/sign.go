package steward

import (
	"context"
	"crypto/sha256"
	"errors"
)

// sign answers what hosts ask for: certificates that follow their last. Only hosts of the cluster
// are answered. A request that is answered is gone from the store.
func (s *steward) sign(ctx context.Context, seen sight) error {
	requests, err := s.o.Store.Requests(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for host, request := range requests {
		_, known := seen.fleet.Hosts[host]
		digest := sha256.Sum256(request)
		if !known || seen.leaving[host] || s.refused[host] == digest {
			continue
		}
		cert, err := s.o.Authority.Sign(host, request)
		if err != nil {
			s.refused[host] = digest
			s.o.Log.Warn("a host asks for a certificate in a way that cannot be answered", "host", host, "error", err)
			continue
		}
		if err := s.o.Store.PutCertificate(ctx, host, cert); err != nil {
			errs = append(errs, err)
			continue
		}
		s.o.Log.Debug("renewed a host's certificate", "host", host)
	}
	return errors.Join(errs...)
}
