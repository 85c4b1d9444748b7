package secret

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// Redacted stands where a secret was.
const Redacted = "********"

// shortest is the length in bytes of what is looked for: less would hit ordinary words.
const shortest = 4

// A Redactor takes secrets out of texts: each as a whole, and each of its lines.
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
	for _, s := range secrets {
		for _, part := range append(strings.Split(s, "\n"), s) {
			if part = strings.TrimSpace(part); len(part) >= shortest {
				r.known[part] = true
			}
		}
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

// Redact returns text without the secrets.
func (r *Redactor) Redact(text string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.replacer == nil {
		return text
	}
	return r.replacer.Replace(text)
}
