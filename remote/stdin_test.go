package remote

import (
	"context"
	"errors"
	"testing"

	"spore/internal/sshtest"
)

// What an agent is to hear first may come late, or never.
func TestStdin(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	o := r.options()
	ready := make(chan struct{})
	said := o.Stdin
	o.Stdin = func(ctx context.Context) ([]byte, error) {
		select {
		case <-ready:
			return said(ctx)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	j := r.start(o)
	waitEvent[Forwarded](j, 1)
	if saw[Started](j) {
		t.Error("the agent was started before its stdin was there")
	}
	close(ready)
	waitEvent[Started](j, 1)
	j.stopped()
	r.wantOnlyCache()
}

func TestStdinFails(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	o := r.options()
	broken := errors.New("no credentials")
	o.Stdin = func(context.Context) ([]byte, error) { return nil, broken }
	j := r.start(o)
	_, err := j.end()
	var step *StepError
	if !errors.Is(err, broken) || !errors.As(err, &step) || step.Step != StepStart {
		t.Errorf("error %v", err)
	}
	if saw[Started](j) {
		t.Error("the agent was started without its stdin")
	}
	r.wantOnlyCache()
}

func TestStopWaitingForStdin(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	o := r.options()
	o.Stdin = func(ctx context.Context) ([]byte, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	j := r.start(o)
	waitEvent[Forwarded](j, 1)
	j.Stop(t.Context())
	if _, err := j.end(); err != nil {
		t.Errorf("error %v", err)
	}
	r.wantOnlyCache()
}
