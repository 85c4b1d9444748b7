package dial

import "context"

// A Question is one thing that a person is asked.
type Question struct {
	Host string // whom the answer is for
	Text string // what is asked, without a colon at its end
	Echo bool   // whether the answer may be seen as it is typed
}

// A Prompter asks a person. Prompt is called from many goroutines; it asks one question at a
// time and returns ctx's error when ctx ends first.
type Prompter interface {
	Prompt(ctx context.Context, q Question) (string, error)
}
