package dial

import (
	"context"
	"fmt"
)

// An Answer is what a person said to a question whose answer serves many hosts. Count says how
// many answers there were by then, this one included.
type Answer struct {
	Secret Secret
	Count  int
}

// Ask returns the latest answer to what about is of, if its Count is higher than seen, and asks q
// otherwise, one question at a time with all that the Dialer itself asks. Answers stay in memory.
func (d *Dialer) Ask(ctx context.Context, about string, seen int, q Question) (Answer, error) {
	if d.Prompt == nil {
		return Answer{}, ErrNoPrompt
	}
	e, err := d.environment()
	if err != nil {
		return Answer{}, err
	}
	// No user name begins like this, and so none of the answers is a user's.
	p, err := e.vault.password(ctx, "\x00"+about, seen, q)
	if err != nil {
		return Answer{}, fmt.Errorf("nobody answered: %w", err)
	}
	return Answer{Secret: p.secret, Count: p.generation}, nil
}
