package dial

import (
	"context"
	"errors"
	"sync"
)

// ErrNoPrompt says that only a person could go on, and that none may be asked.
var ErrNoPrompt = errors.New("asking is off (--no-input, BatchMode or no terminal)")

// A vault asks a person, one question at a time, and remembers the answers that serve more than
// one host: a password once per user name, a passphrase once per key. It lives in memory only.
type vault struct {
	prompt Prompter
	turn   chan struct{} // holds one token; whoever has it may ask

	mu          sync.Mutex
	passwords   map[string]password
	passphrases []Secret
}

// A password is the latest answer for a user name; generation counts the answers.
type password struct {
	secret     Secret
	generation int
}

func newVault(p Prompter) *vault {
	v := &vault{prompt: p, turn: make(chan struct{}, 1), passwords: make(map[string]password)}
	v.turn <- struct{}{}
	return v
}

// lock waits for the turn to ask.
func (v *vault) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case <-v.turn:
		return func() { v.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// known returns the passphrases given so far; the list only ever grows.
func (v *vault) known() []Secret {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.passphrases
}

func (v *vault) learn(passphrase Secret) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.passphrases = append(v.passphrases, passphrase)
}

func (v *vault) latest(user string) password {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.passwords[user]
}

func (v *vault) replace(user, answer string) password {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := password{secret: Secret(answer), generation: v.passwords[user].generation + 1}
	v.passwords[user] = p
	return p
}

// password returns an answer newer than generation seen, asking only if there is none. So one
// answer serves every host, and a host that refused it gets another.
func (v *vault) password(ctx context.Context, user string, seen int, q Question) (password, error) {
	if p := v.latest(user); p.generation > seen {
		return p, nil
	}
	unlock, err := v.lock(ctx)
	if err != nil {
		return password{}, err
	}
	defer unlock()
	if p := v.latest(user); p.generation > seen {
		return p, nil
	}
	answer, err := v.prompt.Prompt(ctx, q)
	if err != nil {
		return password{}, err
	}
	return v.replace(user, answer), nil
}

// ask asks for what serves one host only, such as a one-time code.
func (v *vault) ask(ctx context.Context, questions []Question) ([]string, error) {
	unlock, err := v.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	answers := make([]string, len(questions))
	for i, q := range questions {
		if answers[i], err = v.prompt.Prompt(ctx, q); err != nil {
			return nil, err
		}
	}
	return answers, nil
}
