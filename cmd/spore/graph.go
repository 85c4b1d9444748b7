package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"spore/engine"
)

func newGraph(s stdio) *cobra.Command {
	format := "text"
	c := &cobra.Command{
		Use:   "graph GRAPH",
		Short: "Print a graph as text, DOT or Mermaid",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			print, ok := map[string]func(io.Writer, *engine.Program) error{
				"text": printText, "dot": printDOT, "mermaid": printMermaid,
			}[format]
			if !ok {
				return fmt.Errorf("--format %q is none of text, dot, mermaid", format)
			}
			b := newBehaviour(slog.New(slog.DiscardHandler))
			defer b.hub.Close()
			manifests, err := b.load(args)
			if err != nil {
				return err
			}
			return print(s.out, manifests[0].Program)
		},
	}
	c.Flags().StringVar(&format, "format", format, "text, dot or mermaid")
	_ = c.RegisterFlagCompletionFunc("format", words("text", "dot", "mermaid"))
	c.AddCommand(newGraphGet(s))
	return c
}

// printText writes the resources in an order in which they can run, each with what it comes after.
func printText(w io.Writer, p *engine.Program) error {
	order, err := p.Graph.Sort()
	if err != nil {
		return err
	}
	for _, id := range order {
		line := id.String()
		for _, arc := range p.Graph.In(id) {
			word := "after"
			if arc.Edge.Notify {
				word = "notified by"
			}
			line += fmt.Sprintf("\n  %s %s", word, arc.Key)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	for _, e := range p.Exports {
		fmt.Fprintf(w, "exports %s/%s\n", e.Kind, e.Name)
	}
	for _, c := range p.Collects {
		fmt.Fprintf(w, "collects %s %s\n", c.Kind, c.Pattern)
	}
	return nil
}

func printDOT(w io.Writer, p *engine.Program) error {
	fmt.Fprintf(w, "digraph %q {\n", p.Name)
	for _, id := range p.Graph.Keys() {
		fmt.Fprintf(w, "  %q;\n", id)
	}
	edges(p, func(from, to engine.ID, e engine.Edge) {
		style := ""
		if e.Notify {
			style = ` [style=bold, label="notify"]`
		}
		fmt.Fprintf(w, "  %q -> %q%s;\n", from, to, style)
	})
	_, err := fmt.Fprintln(w, "}")
	return err
}

func printMermaid(w io.Writer, p *engine.Program) error {
	fmt.Fprintln(w, "flowchart TD")
	number := map[engine.ID]int{}
	for i, id := range p.Graph.Keys() {
		number[id] = i
		fmt.Fprintf(w, "  n%d[\"%s\"]\n", i, strings.ReplaceAll(id.String(), `"`, "#quot;"))
	}
	edges(p, func(from, to engine.ID, e engine.Edge) {
		arrow := "-->"
		if e.Notify {
			arrow = "-->|notify|"
		}
		fmt.Fprintf(w, "  n%d %s n%d\n", number[from], arrow, number[to])
	})
	return nil
}

func edges(p *engine.Program, f func(from, to engine.ID, e engine.Edge)) {
	for _, id := range p.Graph.Keys() {
		for _, arc := range p.Graph.Out(id) {
			f(id, arc.Key, arc.Edge)
		}
	}
}
