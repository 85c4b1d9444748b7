package remote

import (
	"errors"
	"strings"
)

// errUnquotable is why a word cannot be part of a command line.
var errUnquotable = errors.New("a word of a command line holds a newline or a NUL byte")

// Quote joins words to one command line that every login shell (sh, csh, fish) splits into the
// same words again. It refuses words that hold a newline or a NUL byte.
func Quote(words ...string) (string, error) {
	var b strings.Builder
	for i, w := range words {
		if strings.ContainsAny(w, "\n\r\x00") {
			return "", errUnquotable
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		quoteWord(&b, w)
	}
	return b.String(), nil
}

// quoteWord keeps quotes, backslashes and exclamation marks outside of the single quotes: fish
// reads a backslash within them, and csh an exclamation mark.
func quoteWord(b *strings.Builder, w string) {
	if w == "" {
		b.WriteString("''")
		return
	}
	for w != "" {
		if strings.IndexByte(`'\!`, w[0]) >= 0 {
			b.WriteByte('\\')
			b.WriteByte(w[0])
			w = w[1:]
			continue
		}
		n := strings.IndexAny(w, `'\!`)
		if n < 0 {
			n = len(w)
		}
		if plain(w[:n]) {
			b.WriteString(w[:n])
		} else {
			b.WriteString("'" + w[:n] + "'")
		}
		w = w[n:]
	}
}

func plain(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,+@") == ""
}
