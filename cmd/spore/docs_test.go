package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the files in docs/ that are made from the code")

// The references in docs/ are made from the specs and the command line: make docs.
func TestReferences(t *testing.T) {
	b := newBehaviour(slog.New(slog.DiscardHandler))
	defer b.hub.Close()
	var kinds, commands bytes.Buffer
	if err := markdownKinds(&kinds, b.kinds); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(&commands, "# Command line\n\nMade from the commands' own help by `make docs`.\n")
	markdownCommand(&commands, newRoot(stdio{}))
	for name, want := range map[string]string{"kinds.md": kinds.String(), "cli.md": commands.String()} {
		path := filepath.Join("..", "..", "docs", name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("docs/%s is not what the code says: run make docs (%v)", name, err)
		}
	}
}

func markdownCommand(w io.Writer, c *cobra.Command) {
	if c.Hidden || c.Name() == "help" {
		return
	}
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(w, "\n## %s\n\n%s\n", c.CommandPath(), text)
	asks := c.HasSubCommands() && c.Args == nil // for one of them
	if c.Runnable() && !asks {
		fmt.Fprintf(w, "\n```\n%s\n```\n", c.UseLine())
	}
	if c.Example != "" {
		fmt.Fprintf(w, "\n```\n%s\n```\n", c.Example)
	}
	if c.LocalNonPersistentFlags().HasAvailableFlags() {
		fmt.Fprint(w, "\n| flag | |\n| --- | --- |\n")
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			fmt.Fprintf(w, "| %s | %s |\n", markdownFlag(f), usage(f))
		})
	}
	for _, sub := range c.Commands() {
		if c.Name() != "completion" { // whose own help is not ours
			markdownCommand(w, sub)
		}
	}
}

func markdownFlag(f *pflag.Flag) string {
	kind, _ := pflag.UnquoteUsage(f)
	text := strings.TrimSpace("--" + f.Name + " " + kind)
	if f.Shorthand != "" {
		text = "-" + f.Shorthand + ", " + text
	}
	return "`" + text + "`"
}

func usage(f *pflag.Flag) string {
	_, text := pflag.UnquoteUsage(f)
	switch f.DefValue {
	case "", "false", "[]", "0":
		return text
	}
	return text + " (default " + f.DefValue + ")"
}
