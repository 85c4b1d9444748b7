package dial

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// A Target is a host as a person names it, before ssh_config has its say.
type Target struct {
	User     string // "" when not written
	Host     string // a name, an alias of ssh_config, or an address without brackets
	Port     string // decimal, "" when not written
	Password Secret // from ssh://user:password@host only
}

const scheme = "ssh://"

// Parse reads ssh://user:password@host:port, user@host, user@host:port, host, host:port,
// [address]:port and a bare IPv6 address. In the ssh:// form user and password may hold
// percent-escapes. No error it returns shows the password.
func Parse(s string) (Target, error) {
	var t Target
	rest, isURL := s, false
	if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
		rest, isURL = strings.TrimSuffix(s[len(scheme):], "/"), true
	} else if other, _, ok := strings.Cut(s, "://"); ok && !strings.Contains(other, "@") {
		return t, fmt.Errorf("parse host address: scheme %q is not supported: write ssh://user@host:port", other)
	}
	hostPort := rest
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		hostPort = rest[i+1:]
		if err := t.parseUser(rest[:i], isURL); err != nil {
			return Target{}, fmt.Errorf("parse host address: %w", err)
		}
	}
	if err := t.parseHostPort(hostPort, isURL); err != nil {
		return Target{}, fmt.Errorf("parse host address: %w", err)
	}
	return t, nil
}

func (t *Target) parseUser(info string, isURL bool) error {
	user, password, hasPassword := strings.Cut(info, ":")
	if hasPassword && !isURL {
		return errors.New("a password can only be given as ssh://user:password@host")
	}
	if isURL {
		u, errUser := url.PathUnescape(user)
		p, errPassword := url.PathUnescape(password)
		if errUser != nil || errPassword != nil {
			return errors.New("user or password holds a broken percent-escape: write % as %25")
		}
		user, password = u, p
	}
	if user == "" {
		return errors.New("nothing stands before the @: name a user")
	}
	if err := checkUser(user); err != nil {
		return err
	}
	t.User, t.Password = user, Secret(password)
	return nil
}

func (t *Target) parseHostPort(s string, isURL bool) error {
	host, port, hasPort := s, "", false
	switch {
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return fmt.Errorf("%q lacks its closing bracket", s)
		}
		host = s[1:end]
		if tail := s[end+1:]; tail != "" {
			if port, hasPort = strings.CutPrefix(tail, ":"); !hasPort {
				return fmt.Errorf("%q has something other than a port after the bracket", s)
			}
		}
		if !isIPv6(unescapeZone(host, isURL)) {
			return fmt.Errorf("%q is not an IPv6 address: only those stand in brackets", host)
		}
	case strings.Count(s, ":") == 1:
		host, port, hasPort = strings.Cut(s, ":")
	case strings.Count(s, ":") > 1 && !isIPv6(unescapeZone(s, isURL)):
		return fmt.Errorf("%q has too many colons: write an IPv6 address with a port as [address]:port", s)
	}
	if host = unescapeZone(host, isURL); host == "" {
		return errors.New("the host is missing")
	}
	if err := checkHost(host); err != nil {
		return err
	}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("port %q is not a number from 1 to 65535", port)
		}
		port = strconv.FormatUint(n, 10)
	}
	t.Host, t.Port = host, port
	return nil
}

// unescapeZone undoes the one escape that a URL's host may hold: fe80::1%25eth0.
func unescapeZone(host string, isURL bool) string {
	if isURL && strings.Contains(host, ":") {
		return strings.Replace(host, "%25", "%", 1)
	}
	return host
}

func isIPv6(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6()
}

// checkHost refuses what could be taken for an option or for shell syntax when a ProxyCommand
// is handed the name, as OpenSSH does.
func checkHost(host string) error {
	if strings.HasPrefix(host, "-") || strings.ContainsAny(host, "'\"`$\\;&<>|(){}[]/?#@,!*") || hasBlank(host) {
		return fmt.Errorf("host %q holds a character that no host name has", host)
	}
	if strings.Contains(host, ":") && !isIPv6(host) {
		return fmt.Errorf("host %q is not an address", host)
	}
	return nil
}

func checkUser(user string) error {
	if strings.HasPrefix(user, "-") || strings.ContainsAny(user, "'\"`;&<>|(){}\x00") || hasBlank(user) || strings.HasSuffix(user, "\\") {
		return fmt.Errorf("user %q holds a character that no user name has", user)
	}
	return nil
}

func hasBlank(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar
	})
}

// String returns the shortest form that Parse reads back to the same user, host and port. It
// never holds the password.
func (t Target) String() string {
	host := t.Host
	switch {
	case t.Port != "":
		host = net.JoinHostPort(t.Host, t.Port)
	case strings.Contains(t.Host, ":"):
		host = "[" + t.Host + "]"
	}
	switch {
	case t.User == "":
		return host
	case strings.Contains(t.User, ":"):
		return scheme + strings.NewReplacer("%", "%25", ":", "%3A").Replace(t.User) + "@" + strings.Replace(host, "%", "%25", 1)
	}
	return t.User + "@" + host
}

// Name is what the host is called in logs and in the store: the host as written, with the port
// if one other than 22 was written.
func (t Target) Name() string {
	if t.Port == "" || t.Port == "22" {
		return t.Host
	}
	return net.JoinHostPort(t.Host, t.Port)
}
