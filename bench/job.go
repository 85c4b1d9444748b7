package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"

	"spore/internal/view"
)

const patience = time.Minute // with a step that takes a second at most

// A job is a spore that runs until it is stopped.
type job struct {
	cmd       *exec.Cmd
	converged chan struct{}
	ended     chan struct{}
}

// start starts spore on graphs and returns when the fleet has converged.
func (b *bench) start(ctx context.Context, graphs ...string) (*job, error) {
	j, err := b.launch(ctx, graphs...)
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, j.converged, "convergence"); err != nil {
		return nil, errors.Join(err, j.stop())
	}
	return j, nil
}

// launch starts spore on graphs.
func (b *bench) launch(ctx context.Context, graphs ...string) (*job, error) {
	args := []string{"run", "-F", b.lab.SSHConfig(), "--no-input", "--json"}
	for _, g := range graphs {
		args = append(args, "--remote", g)
	}
	j := &job{cmd: b.command(ctx, b.spore, args...), converged: make(chan struct{}, 1), ended: make(chan struct{})}
	out, err := j.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := j.cmd.Start(); err != nil {
		return nil, err
	}
	go j.read(out)
	return j, nil
}

// read tells of the first convergence and waits for the end.
func (j *job) read(out io.Reader) {
	defer close(j.ended)
	records := json.NewDecoder(out)
	for {
		var r view.Record
		if records.Decode(&r) != nil {
			_ = j.cmd.Wait() // an interrupted run has no other exit code than that
			return
		}
		if r.Type == view.Converged {
			select {
			case j.converged <- struct{}{}:
			default:
			}
		}
	}
}

// stop ends the job in order.
func (j *job) stop() error {
	if err := j.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	return wait(context.Background(), j.ended, "the end of spore")
}

func wait(ctx context.Context, what <-chan struct{}, name string) error {
	select {
	case <-what:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(patience):
		return fmt.Errorf("wait for %s: not there after %v", name, patience)
	}
}
