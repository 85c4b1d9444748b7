package dial

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// UnreachableError says that no SSH connection came about: the name did not resolve, nothing
// answered in time, the connection was refused or broke off before a log-in was attempted.
type UnreachableError struct {
	Host      string // the Target's name, or the jump host's
	Addr      string // what was dialled
	Transient bool   // whether the same attempt may succeed later
	Err       error
}

// Error implements error.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("connect to %s (%s): %v", e.Host, e.Addr, e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// AuthError says that the host answered, proved who it is, and did not let us in.
type AuthError struct {
	Host  string
	User  string
	Tried []string // what was offered, in order, such as "publickey SHA256:… (agent)"
	Notes []string // what could not be offered, and why
	Hint  string   // what the person can do
	Err   error    // a cause other than plain refusal, or nil
}

// Error implements error.
func (e *AuthError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "log in to %s as %s: ", e.Host, e.User)
	switch {
	case e.Err != nil:
		b.WriteString(e.Err.Error())
	case len(e.Tried) == 0:
		b.WriteString("there was nothing to offer")
	default:
		b.WriteString("refused")
	}
	if len(e.Tried) > 0 {
		b.WriteString("; tried " + strings.Join(e.Tried, ", "))
	}
	for _, n := range e.Notes {
		b.WriteString("; " + n)
	}
	if e.Hint != "" {
		b.WriteString(": " + e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause, if there is one.
func (e *AuthError) Unwrap() error { return e.Err }

// HostKeyError says that the host could not prove that it is the one known by that name. The
// connection was given up before anything secret was sent.
type HostKeyError struct {
	Host        string   // as known_hosts would name it: host or [host]:port
	KeyType     string   // of the key offered, such as ssh-ed25519
	Fingerprint string   // SHA256:… of the key offered
	Changed     bool     // another key is known for the host
	Revoked     bool     // the key is marked @revoked
	Known       []string // file:line of each known_hosts line that speaks of the host
	Err         error    // another reason, such as an expired certificate, or nil
}

// Error implements error.
func (e *HostKeyError) Error() string {
	offered := e.KeyType + " " + e.Fingerprint
	where := strings.Join(e.Known, ", ")
	switch {
	case e.Revoked:
		return fmt.Sprintf("verify %s: it offers %s, which %s marks as revoked: do not trust this host until its key is replaced", e.Host, offered, where)
	case e.Changed:
		return fmt.Sprintf("verify %s: its host key has changed: it offers %s, but %s holds another: someone may be in between; if the host was really reinstalled, run ssh-keygen -R '%s' and connect again", e.Host, offered, where, e.Host)
	case e.Err != nil:
		return fmt.Sprintf("verify %s: it offers %s: %v", e.Host, offered, e.Err)
	}
	return fmt.Sprintf("verify %s: its host key is not known: it offers %s: compare that with the host's own, then connect once with ssh to store it, or pass --accept-new-host-keys", e.Host, offered)
}

// Unwrap returns the further reason, if there is one.
func (e *HostKeyError) Unwrap() error { return e.Err }

// Temporary reports whether trying the same again later can help: yes for a host that is not
// up, a refused or reset connection and timeouts; no for a wrong key or password, a host key
// that is not trusted, a name that does not exist, or a context that has ended.
func Temporary(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	var u *UnreachableError
	return errors.As(err, &u) && u.Transient
}
