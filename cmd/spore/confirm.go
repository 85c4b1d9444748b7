package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"spore/remote/dial"
)

// errRefused says that a person was asked and did not agree.
var errRefused = errors.New("not confirmed: nothing was changed")

// A consent is what a person has to agree to.
type consent struct {
	about    string // whom or what it concerns
	question string
	answer   string // what has to be typed; y or yes if empty
	yes      bool   // --yes: it is given
	noInput  bool   // --no-input: nobody is to be asked
}

// ask returns nil if the person at the terminal agrees. Where there is none it is an error.
func (c consent) ask(ctx context.Context) error {
	if c.yes {
		return nil
	}
	t, err := dial.NewTerminal()
	if err != nil || c.noInput {
		if err == nil {
			_ = t.Close()
		}
		return errors.New("nobody can be asked whether to go on, and nothing was changed: --yes goes on without asking")
	}
	defer t.Close()
	said, err := t.Prompt(ctx, dial.Question{Host: c.about, Text: c.question, Echo: true})
	if ctx.Err() != nil {
		return &exitError{exitInterrupted, errors.New("interrupted: nothing was changed")}
	}
	if err != nil {
		return fmt.Errorf("ask whether to go on: %w", err)
	}
	said = strings.TrimSpace(said)
	if c.answer != "" && said == c.answer {
		return nil
	}
	if agreed := strings.ToLower(said); c.answer == "" && (agreed == "y" || agreed == "yes") {
		return nil
	}
	return errRefused
}

// halted is outcome for what changes something: who interrupts it is told what came of it.
func halted(ctx context.Context, err error, so string) error {
	if err != nil && ctx.Err() != nil {
		return &exitError{exitInterrupted, errors.New("interrupted: " + so)}
	}
	return outcome(ctx, err)
}

// unreached is the outcome of what could not be done on some host because that was not reached.
func unreached(ctx context.Context, err error) error {
	return halted(ctx, &exitError{exitUnreachable, err}, err.Error())
}
