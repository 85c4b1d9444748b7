package dial

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"spore/remote/dial/sshconfig"
)

func (r *reader) fail(pos string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w", pos, err)
	}
}

func isNone(v sshconfig.Value) bool { return strings.EqualFold(v.String(), "none") }

// text returns the first word of a keyword, "" if it is not set.
func (r *reader) text(key string) string {
	v, _ := r.cfg.Get(key)
	return v.String()
}

// flag reads yes or no; the other words given mean yes too.
func (r *reader) flag(key string, unset bool, yes ...string) bool {
	v, ok := r.cfg.Get(key)
	if !ok {
		return unset
	}
	switch word := strings.ToLower(v.String()); {
	case word == "yes", word == "true", slices.Contains(yes, word):
		return true
	case word == "no", word == "false":
		return false
	}
	r.fail(v.Pos, fmt.Errorf("%s is neither yes nor no", v))
	return unset
}

func (r *reader) number(key string, unset int) int {
	v, ok := r.cfg.Get(key)
	if !ok {
		return unset
	}
	n, err := strconv.Atoi(v.String())
	if err != nil {
		r.fail(v.Pos, fmt.Errorf("%s is not a number", v))
	}
	return n
}

// seconds reads a time as OpenSSH writes it: 90, 90s, 1m30s, 2h, 1d, 1w.
func (r *reader) seconds(key string, unset time.Duration) time.Duration {
	v, ok := r.cfg.Get(key)
	if !ok || isNone(v) {
		return unset
	}
	d, err := parseTime(v.String())
	if err != nil {
		r.fail(v.Pos, err)
		return unset
	}
	return d
}

func parseTime(s string) (time.Duration, error) {
	units := map[byte]time.Duration{
		's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
	}
	var total time.Duration
	for rest := s; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseUint(rest[:digits], 10, 31)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time: write seconds, or 1m30s", s)
		}
		unit := time.Second
		if rest = rest[digits:]; rest != "" {
			var ok bool
			if unit, ok = units[rest[0]|0x20]; !ok {
				return 0, fmt.Errorf("%q is not a time: write seconds, or 1m30s", s)
			}
			rest = rest[1:]
		}
		total += time.Duration(n) * unit
	}
	return total, nil
}

// expand replaces %-tokens.
func (r *reader) expand(key, s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			r.failToken(key, "%")
			return ""
		}
		value, ok := r.tokens[s[i]]
		if !ok {
			r.failToken(key, s[i-1:i+1])
			return ""
		}
		b.WriteString(value)
	}
	return b.String()
}

func (r *reader) failToken(key, token string) {
	v, _ := r.cfg.Get(key)
	r.fail(v.Pos, fmt.Errorf("the token %s is not supported here", token))
}

// path expands ~, ${VARIABLE} and %-tokens.
func (r *reader) path(key, s string) string {
	if rest, ok := strings.CutPrefix(s, "~/"); ok {
		s = filepath.Join(r.env.home, rest)
	}
	for {
		before, rest, ok := strings.Cut(s, "${")
		if !ok {
			break
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			break
		}
		s = before + r.env.getenv(name) + after
	}
	return r.expand(key, s)
}

// files are the paths of a keyword that may be repeated; none empties it.
func (r *reader) files(key string) []string {
	var paths []string
	for _, v := range r.cfg.All(key) {
		if !isNone(v) {
			paths = append(paths, r.path(key, v.String()))
		}
	}
	return paths
}

// fileList are the paths of a keyword that takes several at once.
func (r *reader) fileList(key string, unset ...string) []string {
	v, ok := r.cfg.Get(key)
	if !ok {
		return unset
	}
	if isNone(v) {
		return nil
	}
	var paths []string
	for _, a := range v.Args {
		paths = append(paths, r.path(key, a))
	}
	return paths
}
