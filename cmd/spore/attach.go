package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"spore/internal/agent"
	"spore/remote"
)

func newAttach(s stdio) *cobra.Command {
	var since int64
	c := &cobra.Command{
		Use:   "attach DIR",
		Short: "Relay the records of the agent that runs in DIR",
		Long: `attach finds the agent again that runs in the private directory DIR: its records go to standard
output, and command lines from standard input to it. It ends with the agent, with its exit code; 69
means that no agent runs there. An initiator uses it after a connection was lost.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			_ = os.Chdir(dir) // so that the path of its socket is short; if it is not there, no agent is
			code, err := agent.Attach(c.Context(), dir, since, s.in, s.out, version())
			if errors.Is(err, agent.ErrNoAgent) {
				return &exitError{agent.ExitNoAgent, err}
			}
			if err != nil {
				return &exitError{exitFailed, err}
			}
			return exit(code)
		},
	}
	c.Flags().Int64Var(&since, "since", 0, "only records after the one of this `NUMBER`")
	return c
}

func newBridge(s stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "bridge SOCKET",
		Short: "Carry connections to SOCKET over standard input and output",
		Long: `bridge listens on the Unix socket SOCKET and carries each connection to it over its standard input
and output. An initiator uses it to offer its store on hosts whose SSH server forwards nothing.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := remote.ServeBridge(c.Context(), args[0], duplex{s.in, s.out}); err != nil {
				return &exitError{exitFailed, err}
			}
			return nil
		},
	}
}

// duplex is standard input and output as one stream.
type duplex struct {
	io.Reader
	io.Writer
}

// Close closes what of the two can be closed.
func (d duplex) Close() error {
	var errs []error
	for _, end := range []any{d.Reader, d.Writer} {
		if c, ok := end.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
