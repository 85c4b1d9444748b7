package secret

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Redacted stands where a secret was.
const Redacted = "********"

// shortest is the length in bytes of what is looked for: less would hit ordinary words.
const shortest = 4

// A Redactor takes secrets out of texts: each as a whole, and each of its lines, as they are and as they
// are commonly quoted or encoded.
type Redactor struct {
	mu       sync.RWMutex
	known    map[string]bool
	replacer *strings.Replacer
}

// Add makes the redactor know secrets.
func (r *Redactor) Add(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]bool{}
	}
	before := len(r.known)
	for _, s := range secrets {
		for _, part := range append(strings.Split(s, "\n"), s) {
			if part = strings.TrimSpace(part); len(part) < shortest {
				continue
			}
			for _, form := range forms(part) {
				r.known[form] = true
			}
		}
	}
	if len(r.known) == before {
		return
	}
	var words []string
	for part := range r.known {
		words = append(words, part)
	}
	slices.SortFunc(words, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // the longest first
	pairs := make([]string, 0, 2*len(words))
	for _, w := range words {
		pairs = append(pairs, w, Redacted)
	}
	r.replacer = strings.NewReplacer(pairs...)
}

// forms are the ways in which a secret may be written: itself, as Go, JSON and shells quote it, in URLs,
// and in base64 if that is of the secret alone.
func forms(secret string) []string {
	quoted := strconv.Quote(secret)
	encoded, _ := json.Marshal(secret) // which never fails
	return []string{
		secret, quoted[1 : len(quoted)-1], string(encoded[1 : len(encoded)-1]),
		strings.ReplaceAll(secret, "'", `'\''`), url.QueryEscape(secret), url.PathEscape(secret), url.UserPassword("", secret).String()[1:],
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
}

// Redact returns text without the secrets.
func (r *Redactor) Redact(text string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.replacer == nil {
		return text
	}
	return r.replacer.Replace(text)
}
