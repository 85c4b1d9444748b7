package dial

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// errRefused says that the host accepts nothing more of what there is.
var errRefused = errors.New("no further method is left")

// methods choose what to offer next. Nothing is read, asked or signed before the host has said
// that it would take that method.
type methods struct {
	login      *login
	conn       *stream
	identities []identity
	listed     bool // identities holds what there is
	urlUsed    bool
	generation int // of the last shared password that was offered
	prompts    int // passwords offered that a person gave
	interviews int
	unanswered error // why the person gave no answer
}

// next is an ssh.ClientAuthCallback.
func (m *methods) next(auth *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	if err := m.conn.failure(); err != nil {
		return nil, err // the library would go on, and ask the person in vain
	}
	for _, name := range m.login.settings.methods {
		if !slices.Contains(auth.AllowedMethods, name) {
			continue
		}
		var method ssh.AuthMethod
		switch name {
		case methodKey:
			method = m.nextKey()
		case methodPassword:
			method = m.nextPassword()
		case methodInteractive:
			method = m.nextInterview()
		}
		if method != nil {
			return method, nil
		}
	}
	if err := m.login.ctx.Err(); err != nil {
		return nil, err
	}
	if len(m.login.settings.methods) == 0 || !m.overlap(auth.AllowedMethods) {
		m.login.note("the host accepts " + strings.Join(auth.AllowedMethods, ", ") + " only")
	}
	return nil, errRefused
}

func (m *methods) overlap(allowed []string) bool {
	return slices.ContainsFunc(m.login.settings.methods, func(n string) bool { return slices.Contains(allowed, n) })
}

func (m *methods) nextKey() ssh.AuthMethod {
	if !m.listed {
		m.identities, m.listed = m.login.identities(), true
	}
	if len(m.identities) == 0 {
		return nil
	}
	id := m.identities[0]
	m.identities = m.identities[1:]
	m.login.noteTried(id.label)
	return ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
		signer, err := id.signer()
		if err != nil {
			return nil, err
		}
		if signer, err = m.login.settings.restrict(signer); err != nil {
			return nil, err
		}
		return []ssh.Signer{signer}, nil
	})
}

// canAsk reports whether a person may be asked, and notes it if not.
func (m *methods) canAsk(what string) bool {
	if m.unanswered != nil {
		m.login.note(fmt.Sprintf("%s is needed, and nobody answered: %v", what, m.unanswered))
		return false
	}
	if m.login.env.vault.prompt != nil && !m.login.settings.batch {
		return true
	}
	m.login.note(fmt.Sprintf("%s is needed, and %v", what, ErrNoPrompt))
	return false
}

// given reports whether the address holds a password that has not been tried.
func (m *methods) given() bool { return m.login.settings.target.Password != "" && !m.urlUsed }

// hasPassword reports whether there is another password to offer, given or to be asked for.
func (m *methods) hasPassword() bool {
	return m.given() || m.prompts < m.login.settings.passwordPrompts && m.canAsk("a password")
}

func (m *methods) nextPassword() ssh.AuthMethod {
	if !m.hasPassword() {
		return nil
	}
	m.login.noteTried(methodPassword)
	return ssh.PasswordCallback(m.password)
}

// password gives the address's password first, then the one that was asked for.
func (m *methods) password() (string, error) {
	l := m.login
	t := l.settings.target
	if m.given() {
		l.sentSecret()
		m.urlUsed = true
		l.env.warnOnce(fmt.Sprintf("the password of %s stands in its address, where others may see it: use a key or ssh-agent", t))
		return t.Password.Reveal(), nil
	}
	text := "password for " + l.settings.user
	if m.prompts > 0 || m.urlUsed {
		text += " (the last one was refused)"
	}
	m.prompts++
	resume := l.asking()
	defer resume()
	p, err := l.env.vault.password(l.ctx, l.settings.user, m.generation, Question{Host: t.Name(), Text: text})
	if err != nil {
		m.unanswered = err
		return "", err
	}
	l.sentSecret()
	m.generation = p.generation
	return p.secret.Reveal(), nil
}

func (m *methods) nextInterview() ssh.AuthMethod {
	if m.interviews >= max(1, m.login.settings.passwordPrompts) {
		return nil
	}
	if !m.given() && !m.canAsk("an answer (keyboard-interactive)") {
		return nil
	}
	m.interviews++
	m.login.noteTried(methodInteractive)
	return ssh.KeyboardInteractive(m.answer)
}

// answer replies to the host's questions. The plain question for a password, which PAM asks this
// way, is answered as the password method would be; all others are asked each time.
func (m *methods) answer(_, instruction string, texts []string, echos []bool) ([]string, error) {
	if len(texts) == 0 {
		if instruction != "" {
			m.login.env.log.Info("the host says: "+printable(instruction), "host", m.login.settings.target.Name())
		}
		return nil, nil
	}
	if len(texts) == 1 && !echos[0] && wantsPassword(texts[0]) {
		if !m.hasPassword() {
			return nil, errRefused
		}
		p, err := m.password()
		return []string{p}, err
	}
	if !m.canAsk("an answer to " + printable(texts[0])) {
		return nil, ErrNoPrompt
	}
	l := m.login
	questions := make([]Question, len(texts))
	for i, text := range texts {
		if i == 0 && instruction != "" {
			text = instruction + " " + text
		}
		text = strings.TrimSuffix(strings.TrimSpace(printable(text)), ":")
		questions[i] = Question{Host: l.settings.target.Name(), Text: text, Echo: echos[i]}
	}
	resume := l.asking()
	defer resume()
	answers, err := l.env.vault.ask(l.ctx, questions)
	if err != nil {
		m.unanswered = err
		return nil, err
	}
	l.sentSecret()
	return answers, nil
}

// wantsPassword reports whether text asks for the password of who logs in, and neither for one that
// serves one time only nor for a new one in its place.
func wantsPassword(text string) bool {
	text = strings.ToLower(strings.Trim(text, " \t:"))
	return slices.Contains([]string{"password", "unix password", "ldap password"}, text) ||
		strings.HasPrefix(text, "password for ") || strings.HasSuffix(text, "'s password")
}

func (l *login) sentSecret() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets = true
}
