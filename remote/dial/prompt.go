package dial

import (
	"context"
	"strings"
	"unicode"
)

// A Question is one thing that a person is asked.
type Question struct {
	Host string // whom the answer is for
	Text string // what is asked, without a colon at its end
	Echo bool   // whether the answer may be seen as it is typed
}

// A Prompter asks a person. Prompt returns ctx's error when ctx ends first. A Dialer asks one
// question at a time.
type Prompter interface {
	Prompt(ctx context.Context, q Question) (string, error)
}

// printable drops what could steer a terminal, for a host's words are not to be trusted.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, s)
}
