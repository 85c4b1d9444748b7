package cluster

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"spore/engine"
	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/secret"
)

// seal encrypts secrets for who is to have them.
func seal(secrets manifest.Secrets, recipient string) ([]byte, error) {
	if len(secrets) == 0 {
		return nil, nil
	}
	if recipient == "" {
		return nil, errors.New("it has not said yet how to encrypt for it: try again when it is up")
	}
	plain, err := json.Marshal(map[string]string(secrets))
	if err != nil {
		return nil, err
	}
	return secret.Encrypt(recipient, plain)
}

// marks returns what tells a secret from another, by reference: ciphertexts of the same differ. A
// mark is of its host alone, so that not even equal secrets show.
func (p Press) marks(host, recipient string, secrets manifest.Secrets) map[string][]byte {
	if p.MarkKey == "" || len(secrets) == 0 {
		return nil
	}
	all := make(map[string][]byte, len(secrets))
	for reference, value := range secrets {
		mac := hmac.New(sha256.New, []byte(p.MarkKey))
		for _, part := range []string{host, recipient, reference, value} {
			fmt.Fprintf(mac, "%d\n%s", len(part), part)
		}
		all[reference] = mac.Sum(nil)
	}
	return all
}

// secretChanges lists the secrets that are other ones than those in g, or have to be encrypted anew
// for another recipient.
func (p Press) secretChanges(host, recipient string, g etcd.Graph, next manifest.Secrets) []Difference {
	if len(next) > 0 && (p.MarkKey == "" || g.Marks == nil && g.Secrets != nil) {
		return []Difference{{Sign: changed, What: plural(len(next), "secret") + ", encrypted anew: the old cannot be compared"}}
	}
	name := func(reference string) string { return "secret " + reference }
	return keyed(g.Marks, p.marks(host, recipient, next), name, func(a, b []byte) []engine.Change {
		if hmac.Equal(a, b) {
			return nil
		}
		return []engine.Change{{Field: "value", From: secret.Redacted, To: secret.Redacted}}
	})
}
