package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"spore/internal/lab/labtest"
)

// call runs the command as a person would and returns what it printed.
func call(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetIn(strings.NewReader(""))
	err := cmd.ExecuteContext(ctx)
	return out.String(), err
}

func TestByHand(t *testing.T) {
	labtest.Need(t)
	const name = "by-hand-test"
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	printed, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		cmd := root()
		cmd.SetArgs([]string{"up", "1", "--light", "--name", name})
		cmd.SetOut(w)
		err := cmd.ExecuteContext(ctx)
		w.Close()
		ended <- err
	}()
	buf := make([]byte, 4096)
	if n, _ := printed.Read(buf); !strings.HasPrefix(string(buf[:n]), "lab "+name) {
		t.Fatalf("up printed %q and ended with %v", buf[:n], <-ended)
	}
	go io.Copy(io.Discard, printed)
	for _, step := range []struct {
		args, want string
		fails      bool
	}{
		{args: "list", want: name + "\talive\t[a]"},
		{args: "exec " + name + " a hostname", want: "a\n"},
		{args: "crash " + name + " a"},
		{args: "exec " + name + " a hostname", fails: true},
		{args: "start " + name + " a"},
		{args: "cut-from " + name + " a"},
		{args: "cut-to " + name + " a"},
		{args: "cut " + name + " a"},
		{args: "heal " + name + " a"},
		{args: "exec " + name + " a sh -c exit\t3", fails: true},
		{args: "exec " + name + " nobody hostname", fails: true},
		{args: "down"},
		{args: "exec " + name + " a hostname", want: "a\n"},
		{args: "destroy " + name + " a"},
		{args: "start " + name + " a", fails: true},
	} {
		out, err := call(t.Context(), strings.Split(step.args, " ")...)
		if (err != nil) != step.fails || !strings.Contains(out, step.want) {
			t.Errorf("%s: printed %q, error %v", step.args, out, err)
		}
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Errorf("up ended with %v", err)
	}
	if _, err := os.Stat("/run/spore-lab/" + name); err == nil {
		t.Error("the lab is still there after the interrupt")
	}
}
