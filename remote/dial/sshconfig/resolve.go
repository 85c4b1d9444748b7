package sshconfig

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// A Query is the host asked about, as given on the command line.
type Query struct {
	Host      string // as written, before HostName
	User      string // "" when not written
	LocalUser string
}

// Settings are the values that hold for one host, by keyword in lower case.
type Settings struct {
	values  map[string][]Value
	skipped []string
}

// Get returns the value of key, and whether it is set.
func (s *Settings) Get(key string) (Value, bool) {
	v := s.values[key]
	if len(v) == 0 {
		return Value{}, false
	}
	return v[0], true
}

// All returns every value of a key that may be given more than once.
func (s *Settings) All(key string) []Value { return s.values[key] }

// Everything gives each keyword that is set, in no order, with its first value.
func (s *Settings) Everything() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for key, values := range s.values {
			if !yield(key, values[0]) {
				return
			}
		}
	}
}

// Skipped names, each with its file:line, the Match lines that could not be evaluated and whose
// blocks were therefore left out.
func (s *Settings) Skipped() []string { return s.skipped }

// cumulative keywords add up; of all others the first value wins.
var cumulative = []string{"identityfile", "certificatefile"}

// Resolve evaluates the configuration for one host. As in OpenSSH, "Match final" asks for a
// second pass when all else is known, in which Host means the name that HostName gave.
func (c *Config) Resolve(q Query) *Settings {
	r := resolver{query: q, settings: &Settings{values: make(map[string][]Value)}}
	r.pass(c)
	if r.wantFinal {
		r.final = true
		r.pass(c)
	}
	return r.settings
}

type resolver struct {
	query            Query
	settings         *Settings
	final, wantFinal bool
}

func (r *resolver) pass(c *Config) {
	for _, f := range c.files {
		r.file(f, true)
	}
}

// file applies the lines of f that hold. A block ends with the file it is in. One that is included
// where nothing holds is read all the same, for a "Match final" counts wherever it stands.
func (r *resolver) file(f *file, holds bool) {
	active := holds
	for _, l := range f.lines {
		switch l.key {
		case "host":
			active = holds && MatchList(l.value.Args, r.host())
		case "match":
			ok, unknown := r.match(l.value)
			active = holds && ok
			if holds && unknown != "" {
				r.skip(l.value, unknown)
			}
		case "include":
			for _, inc := range l.included {
				r.file(inc, active)
			}
		default:
			if active {
				r.set(l.key, l.value)
			}
		}
	}
}

func (r *resolver) set(key string, v Value) {
	have := r.settings.values[key]
	switch {
	case slices.Contains(cumulative, key):
		if slices.ContainsFunc(have, func(h Value) bool { return h.String() == v.String() }) {
			return
		}
	case len(have) > 0 || r.final && key == "hostname": // which is settled by then
		return
	case r.otherProxy(key):
		return
	}
	r.settings.values[key] = append(have, v)
}

// otherProxy reports whether key says how to get there when something else has said so before.
func (r *resolver) otherProxy(key string) bool {
	switch key {
	case "proxyjump":
		_, ok := r.settings.Get("proxycommand")
		return ok
	case "proxycommand":
		jump, ok := r.settings.Get("proxyjump")
		return ok && !strings.EqualFold(jump.String(), "none")
	}
	return false
}

// match evaluates the criteria of a Match line; all must hold. unknown names the one, if any, that
// is not evaluated here and that it comes down to.
func (r *resolver) match(v Value) (holds bool, unknown string) {
	holds = true
	for args := v.Args; len(args) > 0; {
		word, negated := strings.CutPrefix(args[0], "!")
		name, arg, hasArg := strings.Cut(word, "=")
		name, args = strings.ToLower(name), args[1:]
		var ok bool
		switch name {
		case "all":
			ok = true
		case "final":
			r.wantFinal = true
			ok = r.final
		case "canonical": // names are never canonicalized here
			ok = r.final
		default:
			if !hasArg && len(args) > 0 {
				arg, args = args[0], args[1:]
			}
			known := false
			if ok, known = r.criterion(name, arg); !known && holds {
				return false, name
			} else if !known {
				return false, ""
			}
		}
		holds = holds && ok != negated
	}
	return holds, ""
}

func (r *resolver) criterion(name, arg string) (ok, known bool) {
	list := strings.Split(arg, ",")
	switch name {
	case "host":
		return MatchList(lower(list), strings.ToLower(r.hostName())), true
	case "originalhost":
		return MatchList(lower(list), strings.ToLower(r.query.Host)), true
	case "user":
		return MatchList(list, r.user()), true
	case "localuser":
		return MatchList(list, r.query.LocalUser), true
	}
	return false, false
}

func (r *resolver) skip(v Value, criterion string) {
	text := fmt.Sprintf("%s: Match %s is not evaluated here, so its block is left out", v.Pos, criterion)
	if !slices.Contains(r.settings.skipped, text) {
		r.settings.skipped = append(r.settings.skipped, text)
	}
}

// host is what a Host line is compared with.
func (r *resolver) host() string {
	if r.final {
		return strings.ToLower(r.hostName())
	}
	return r.query.Host
}

// hostName is the name as far as it has been resolved.
func (r *resolver) hostName() string {
	if v, ok := r.settings.Get("hostname"); ok {
		return strings.NewReplacer("%%", "%", "%h", r.query.Host).Replace(v.String())
	}
	return r.query.Host
}

func (r *resolver) user() string {
	if r.query.User != "" {
		return r.query.User
	}
	if v, ok := r.settings.Get("user"); ok {
		return v.String()
	}
	return r.query.LocalUser
}

func lower(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToLower(s)
	}
	return out
}

// MatchList reports whether a pattern matches s and none that begins with ! does.
func MatchList(patterns []string, s string) bool {
	matched := false
	for _, p := range patterns {
		p, negated := strings.CutPrefix(p, "!")
		if !Match(p, s) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}

// Match reports whether pattern, in which * stands for any characters and ? for one, matches
// all of s.
func Match(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
