// Command spore brings graphs of resources to hosts that offer nothing but SSH, and keeps them
// converged.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

func main() {
	noDump()
	os.Exit(Main(context.Background(), os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// stdio are the streams of a command.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// Main runs one command line and returns its exit code.
func Main(ctx context.Context, args []string, s stdio) int {
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(s.err, "spore: "+text)
	}
	return codeOf(err)
}
