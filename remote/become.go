package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"spore/remote/dial"
)

// The ways to become another user.
const (
	Sudo = "sudo"
	Doas = "doas"
	Su   = "su"
)

// maxAnswers is how many passwords are tried on one host.
const maxAnswers = 3

// Become says as whom everything runs on a host if not as who logs in. Where both have one name it
// does nothing.
type Become struct {
	Method string // Sudo, Doas or Su
	User   string // whom to become; "" is root
	// Password returns the password that user is to give to the method, one whose Count is higher
	// than seen: that many have been refused. nil means that nobody can be asked.
	Password func(ctx context.Context, user string, seen int, q dial.Question) (dial.Answer, error)
}

func (b *Become) check() error {
	if b == nil {
		return nil
	}
	switch b.Method {
	case Sudo, Doas, Su:
		return nil
	}
	return fmt.Errorf("check options: there is no way to become another user by %q: use sudo, doas or su", b.Method)
}

// A BecomeError says that a host does not let us become the user that everything is to run as.
type BecomeError struct {
	Host, Method, User string
	Why                string // what came in the way
	Said               string // what the host said of it, cleaned
	Err                error  // what caused it; may be nil
}

// Error implements error.
func (e *BecomeError) Error() string {
	text := fmt.Sprintf("become %s by %s on %s: %s", e.User, e.Method, e.Host, e.Why)
	if e.Said != "" {
		text += ": the host says: " + e.Said
	}
	return text
}

// Unwrap returns the cause, if there is one.
func (e *BecomeError) Unwrap() error { return e.Err }

// Why an attempt failed that may do better in another way.
var (
	errTerminal = errors.New("it demands a terminal")
	errPrompt   = errors.New("it takes no prompt of ours")
	errWrong    = errors.New("the password was refused")
	errLate     = errors.New("it did not wait for the password")
)

// A becomer starts commands as another user. It outlives connections, and keeps what it learns.
type becomer struct {
	Become
	host string
	pair chan struct{} // holds a token while two sessions are being opened for one command

	mu       sync.Mutex
	terminal bool // the method demands one
	plain    bool // sudo takes no prompt of ours, as sudo-rs once did not
	answer   dial.Answer
	refused  int // Count of the last answer that was refused
	answers  int // how many were tried
}

func newBecomer(b *Become, host string) *becomer {
	if b == nil {
		return nil
	}
	n := &becomer{Become: *b, host: host, pair: make(chan struct{}, 1)}
	if n.User == "" {
		n.User = "root"
	}
	return n
}

// foreign reports whether what runs on the host belongs to another user than who logs in.
func (h *host) foreign() bool { return h.become != nil && h.client.User() != h.become.User }

// command starts argv as the other user.
func (b *becomer) command(ctx context.Context, h *host, argv []string) (*command, error) {
	for {
		t := b.talk(h.client.User())
		start := t.onPipes
		if t.terminal {
			start = t.onTerminal
		}
		c, err := start(ctx, h, argv)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := b.judge(t, err); err != nil {
			return nil, err
		}
		if !errors.Is(err, errWrong) {
			continue
		}
		if _, _, err := b.password(ctx, t.user); err != nil { // before anything waits for it
			return nil, atStep(StepBecome, t.failed(fmt.Sprintf("the password of %s was refused, and there is no other: %v", t.user, err), "", err))
		}
	}
}

// judge returns what to report of an attempt's failure, or nil if another attempt may do better.
func (b *becomer) judge(t *talk, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case errors.Is(err, errTerminal) && !t.terminal:
		b.terminal = true
		return nil
	case errors.Is(err, errPrompt) && !t.plain:
		b.plain = true
		return nil
	case errors.Is(err, errLate):
		return nil
	case errors.Is(err, errWrong):
		if t.used.Count > b.refused {
			b.refused = t.used.Count
			b.answers++
		}
		if b.answers < maxAnswers {
			return nil
		}
		err = t.failed(fmt.Sprintf("the password of %s was refused", t.user), "", err)
	}
	return atStep(StepBecome, err)
}

// password returns the answer to the method's prompt, and whether a person may have been asked.
func (b *becomer) password(ctx context.Context, user string) (a dial.Answer, asked bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock() // who comes second waits for the same answer
	if b.answer.Count > b.refused {
		return b.answer, false, nil
	}
	if b.Password == nil {
		return dial.Answer{}, false, dial.ErrNoPrompt
	}
	text := b.Method + " password for " + user
	if b.refused > 0 {
		text += " (the last one was refused)"
	}
	b.answer, err = b.Password(ctx, user, b.refused, dial.Question{Host: b.host, Text: text})
	return b.answer, true, err
}

// openForeign offers the store where the host's user is not who logs in, and so cannot use a
// socket that sshd makes: by a socket of the user's own, else by a port.
func (s *Session) openForeign(ctx context.Context, h *host, p *place, installed <-chan struct{}) (tunnel, string, error) {
	if s.o.Bridge == nil {
		return s.openPort(ctx, h)
	}
	t, store, err := s.openHelper(ctx, h, p, installed)
	if err != nil && ctx.Err() == nil && !h.gone() {
		if t, store, e := s.openPort(ctx, h); e == nil {
			return t, store, nil
		}
	}
	return t, store, err
}

// words is a text as the host said it, without the password, should it be in it.
func words(said string, used dial.Answer) string {
	if secret := used.Secret.Reveal(); secret != "" {
		said = strings.ReplaceAll(said, secret, "…")
	}
	return Clean(said)
}
