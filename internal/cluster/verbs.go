package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"spore/internal/resident"
	"spore/remote"
)

// verbBound is how long one verb may take on a host. What takes longest is the end of an agent that
// the store does not answer.
const verbBound = 2 * time.Minute

// Standard exit statuses of a shell that does not find a program, or cannot run it.
const (
	cannotRun = 126
	notFound  = 127
)

// run runs a verb of spore resident on a host, with the binary that resides there: in is what it is
// given and out what it answers, both as JSON, unless they are nil.
func run(ctx context.Context, c Conn, in, out any, verb ...string) error {
	return runWith(ctx, c, resident.Standard().Binary(), in, out, verb...)
}

// runAnyway is run with this program's own binary where none resides any more.
func runAnyway(ctx context.Context, c Conn, in, out any, verb ...string) error {
	err := run(ctx, c, in, out, verb...)
	var failed *remote.ProgramError
	if !errors.As(err, &failed) || failed.Code != notFound && failed.Code != cannotRun {
		return err
	}
	path, _, err := c.Install(ctx)
	if err != nil {
		return err
	}
	return runWith(ctx, c, path, in, out, verb...)
}

func runWith(ctx context.Context, c Conn, binary string, in, out any, verb ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, verbBound, fmt.Errorf("spore resident %s has not ended for %v", verb[0], verbBound))
	defer cancel()
	var stdin io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode what %s is given: %w", verb[0], err)
		}
		stdin = bytes.NewReader(text)
	}
	answer, err := c.Run(ctx, stdin, append([]string{binary, "resident"}, verb...)...)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("spore resident %s answered what cannot be read: %w", verb[0], err)
	}
	return nil
}

// said is the last that spore itself said on a host, if a verb failed: the rest is for logs.
func said(err error) error {
	var failed *remote.ProgramError
	if errors.As(err, &failed) && len(failed.Stderr) > 0 {
		return errors.New(strings.TrimPrefix(failed.Stderr[len(failed.Stderr)-1], "spore: "))
	}
	return err
}

// A StrangerError says that a host of the record belongs to another cluster by now.
type StrangerError struct{ Host, Name string }

func (e *StrangerError) Error() string {
	return fmt.Sprintf("%s belongs to the cluster %s by now, and was left alone", e.Host, remote.Clean(e.Name))
}

// removeFrom takes away what resides on a host, if it is of the cluster with this ID. all takes
// the cached binaries as well.
func removeFrom(ctx context.Context, c Conn, host, cluster string, all bool) error {
	var info resident.Info
	if err := runAnyway(ctx, c, nil, &info, "info"); err != nil {
		return said(err)
	}
	if info.Cluster != "" && info.Cluster != cluster {
		return &StrangerError{host, info.Name}
	}
	verb := []string{"remove"}
	if all {
		verb = append(verb, "--cache")
	}
	return said(runAnyway(ctx, c, nil, nil, verb...))
}
