package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// A login is one attempt to get into one host.
type login struct {
	env      *environment
	settings *settings
	ctx      context.Context // of the Dial: what is asked outlives the connection it is asked for
	clock    *clock

	mu       sync.Mutex // guards what the handshake's goroutine notes down
	tried    []string
	notes    []string
	prompted bool   // a person may have kept the host waiting
	secrets  bool   // a password or code has been sent
	hungUp   bool   // the connection ended before the host had decided
	said     string // what the host said of the last attempt
	done     []func()
}

func (l *login) noteTried(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tried = append(l.tried, what)
}

// note says once what could not be offered.
func (l *login) note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.notes, what) {
		l.notes = append(l.notes, what)
	}
}

// asking stops the clock while a person is at work, for this host or for one before it.
func (l *login) asking() (resume func()) {
	l.mu.Lock()
	l.prompted = true
	l.mu.Unlock()
	return l.clock.pause()
}

// lostPatience reports whether the host hung up while a person was typing.
func (l *login) lostPatience() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.prompted && l.hungUp
}

// hear is an ssh.BannerCallback. What comes before anything was tried greets all the world; what
// comes after it may say why we are not let in.
func (l *login) hear(message string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := []rune(strings.TrimSpace(printable(message)))
	if len(l.tried) > 0 && len(text) > 0 {
		l.said = "the host says: " + string(text[:min(len(text), maxSaid)])
	}
	return nil
}

// maxSaid is how many characters of what a host says get into an error.
const maxSaid = 300

// later runs f when the attempt is over.
func (l *login) later(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = append(l.done, f)
}

func (l *login) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.done {
		f()
	}
	l.done = nil
}

// handshake speaks SSH over conn. It closes conn when it fails or ctx ends.
func (l *login) handshake(ctx context.Context, conn *stream) (*Client, error) {
	config, err := l.config(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	type result struct {
		client *ssh.Client
		err    error
	}
	results := make(chan result, 1)
	go func() {
		defer l.finish()
		c, channels, requests, err := ssh.NewClientConn(conn, l.settings.lookup(), config)
		if err != nil {
			results <- result{err: err}
			return
		}
		results <- result{client: ssh.NewClient(c, channels, requests)}
	}()
	select {
	case r := <-results:
		if r.err != nil {
			return nil, l.explain(ctx, conn, r.err)
		}
		return &Client{Client: r.client, Target: l.settings.target, Addr: l.settings.addr()}, nil
	case <-ctx.Done():
		go func() { // closing a channel on a dead connection can take long
			_ = conn.Close()
			if r := <-results; r.client != nil {
				_ = r.client.Close()
			}
		}()
		return nil, l.explain(ctx, conn, context.Cause(ctx))
	}
}

func (l *login) config(conn *stream) (*ssh.ClientConfig, error) {
	s := l.settings
	check, algorithms, err := l.env.trust.checker(s)
	if err != nil {
		return nil, err
	}
	m := &methods{login: l, conn: conn}
	return &ssh.ClientConfig{
		Config:            ssh.Config{KeyExchanges: s.kexAlgos, Ciphers: s.ciphers, MACs: s.macs},
		User:              s.user,
		AuthCallback:      m.next,
		BannerCallback:    l.hear,
		HostKeyCallback:   check,
		HostKeyAlgorithms: algorithms,
		ClientVersion:     "SSH-2.0-spore",
	}, nil
}

// explain turns what the handshake said into one of the error types.
func (l *login) explain(ctx context.Context, conn *stream, err error) error {
	var hostKey *HostKeyError
	if errors.As(err, &hostKey) {
		return hostKey
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hungUp = ctx.Err() == nil && !errors.Is(err, errRefused)
	tooMany := strings.Contains(strings.ToLower(err.Error()), "too many authentication failures")
	switch {
	case tooMany:
		l.hungUp = false
		return l.authError(err, true)
	case ctx.Err() == nil && (errors.Is(err, errRefused) || l.secrets && isHangup(err)):
		return l.authError(err, false)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case l.said != "":
		err = fmt.Errorf("%w: %s", err, l.said)
	}
	if p, ok := conn.Conn.(*proxyConn); ok {
		err = p.explain(err)
	}
	return unreachable(ctx, l.settings, err)
}

func (l *login) authError(err error, tooMany bool) error {
	e := &AuthError{Host: l.settings.target.Name(), User: l.settings.user, Tried: l.tried, Notes: l.notes}
	if l.said != "" {
		e.Notes = append(slices.Clone(e.Notes), l.said)
	}
	switch {
	case tooMany:
		e.Err = errors.New("the host allows no further attempt")
		e.Hint = "name the right key with IdentityFile and set IdentitiesOnly yes for this host in ssh_config"
	case !errors.Is(err, errRefused):
		e.Err = fmt.Errorf("the host hung up: %w", err)
	case len(l.tried) == 0 && len(l.notes) == 0:
		e.Hint = "load a key into ssh-agent or name one with IdentityFile in ssh_config"
	default:
		e.Hint = fmt.Sprintf("check with ssh -v -p %s %s@%s", l.settings.port, l.settings.user, l.settings.host)
	}
	return e
}

// isHangup reports whether err is the peer's end of the conversation and not the line's.
func isHangup(err error) bool {
	return !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.ETIMEDOUT)
}

// unreachable wraps err unless it already says which host, here or on the way, is at fault.
func unreachable(ctx context.Context, s *settings, err error) error {
	var (
		u *UnreachableError
		a *AuthError
		h *HostKeyError
	)
	if errors.As(err, &u) || errors.As(err, &a) || errors.As(err, &h) {
		return err
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return &UnreachableError{Host: s.target.Name(), Addr: s.addr(), Transient: transient(err), Err: plain(err)}
}

// transient reports whether a failed connection is worth another try.
func transient(err error) bool {
	var (
		dns       *net.DNSError
		channel   *ssh.OpenChannelError
		algorithm *ssh.AlgorithmNegotiationError
	)
	switch {
	case errors.As(err, &dns):
		return !dns.IsNotFound
	case errors.As(err, &channel):
		return channel.Reason == ssh.ConnectionFailed || channel.Reason == ssh.ResourceShortage
	case errors.As(err, &algorithm):
		return false
	}
	return !errors.Is(err, context.Canceled)
}

// plain drops the "dial tcp 192.0.2.1:22" that net puts in front, for the address is named
// already.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" && op.Err != nil {
		return op.Err
	}
	return err
}
